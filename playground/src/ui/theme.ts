// The theme that the user has chosen. theme.js applies it before the first paint; here it changes.
import { createStore } from "./store";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const KEY = "pollux.theme";

const applied = document.documentElement.dataset.theme;
export const themeStore = createStore<Theme>(applied === "light" || applied === "dark" ? applied : "system");

export function setTheme(theme: Theme): void {
  themeStore.set(theme);
  try {
    if (theme === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  } catch {
    // The choice lasts until the page is closed.
  }
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

/** Whether the page is dark now. */
export const isDark = () =>
  themeStore.get() === "dark" || (themeStore.get() === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
