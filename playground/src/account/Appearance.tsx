import { strings } from "../strings";
import { useStore } from "../ui/store";
import { setTheme, THEMES, themeStore } from "../ui/theme";
import { Section } from "./Section";

export function Appearance() {
  const theme = useStore(themeStore);
  return (
    <Section title={strings.account.theme}>
      <div className="choices" role="radiogroup" aria-label={strings.account.theme}>
        {THEMES.map((name) => (
          <label key={name} className="choice">
            <input type="radio" name="theme" value={name} checked={theme === name} onChange={() => setTheme(name)} />
            {strings.account.themes[name]}
          </label>
        ))}
      </div>
    </Section>
  );
}
