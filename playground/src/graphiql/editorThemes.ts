// The themes of the editors: Monaco's own with GraphiQL's colors, except where the contrast of text would be below 4.5 to 1.
import { useMonaco } from "@graphiql/react";
import { useLayoutEffect } from "react";

export const EDITOR_THEMES = { light: "pollux-light", dark: "pollux-dark" };

interface Palette {
  background: string;
  primary: string;
  quiet: string;
  invalid: string;
  tokens: Record<string, string>;
  brackets?: Record<string, string>;
}

const light = theme("vs", {
  background: "#ffffff",
  primary: "#d60590",
  quiet: "#5c5c69",
  invalid: "#c4181c",
  tokens: { "argument.identifier.gql": "#625fc4", annotation: "#6b6b6b" },
  brackets: { "editorBracketHighlight.foreground2": "#2b7f2b" },
});

const dark = theme("vs-dark", {
  background: "#212a3b",
  primary: "#ff5794",
  quiet: "#a5a5b2",
  invalid: "#ff7a70",
  tokens: { "argument.identifier.gql": "#a09bff", annotation: "#e58f8f", comment: "#8fb97c" },
});

/** Defines the themes once Monaco is loaded: in a layout effect, because editors are created in the effects after it. */
export function useEditorThemes(): void {
  const monaco = useMonaco(({ monaco }) => monaco);
  useLayoutEffect(() => {
    monaco?.editor.defineTheme(EDITOR_THEMES.light, light);
    monaco?.editor.defineTheme(EDITOR_THEMES.dark, dark);
  }, [monaco]);
}

function theme(base: "vs" | "vs-dark", { background, primary, quiet, invalid, tokens, brackets }: Palette) {
  const soft = `${primary}19`;
  return {
    base,
    inherit: true,
    rules: Object.entries({ ...tokens, invalid }).map(([token, foreground]) => ({ token, foreground })),
    colors: {
      "editor.background": "#ffffff00",
      "scrollbar.shadow": "#ffffff00",
      "editorLineNumber.foreground": quiet,
      "editorLineNumber.dimmedForeground": quiet,
      "editorBracketHighlight.unexpectedBracket.foreground": invalid,
      ...brackets,
      // What opens over an editor: completions, descriptions, the search and the menu.
      focusBorder: primary,
      "editorWidget.background": background,
      "menu.background": background,
      "menu.selectionBackground": soft,
      "menu.selectionForeground": primary,
      "list.hoverBackground": soft,
      "list.highlightForeground": primary,
      "list.focusHighlightForeground": primary,
      "editorSuggestWidget.selectedBackground": soft,
      "editorSuggestWidget.selectedForeground": primary,
      "textLink.foreground": primary,
      "textLink.activeForeground": primary,
    },
  };
}
