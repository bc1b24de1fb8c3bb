import { strings } from "../strings";
import { Icon } from "../ui/Icon";

const MAX_LENGTH = 256;

export function SearchField({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  return (
    <search className="search-field">
      <Icon name="search" />
      <input
        type="search"
        aria-label={strings.search.label}
        placeholder={strings.search.label}
        autoComplete="off"
        maxLength={MAX_LENGTH}
        value={value}
        onChange={(event) => onChange(event.target.value)}
        onKeyDown={(event) => {
          if (event.key !== "Escape" || value === "") return;
          // The sidebar of a narrow screen stays open.
          event.stopPropagation();
          onChange("");
        }}
      />
    </search>
  );
}
