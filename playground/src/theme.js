// Applies the chosen theme before the first paint. A blocking script of its own, because the content security policy allows no
// inline script. src/ui/theme.ts stores the choice.
try {
  const theme = localStorage.getItem("pollux.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is blocked: the theme of the system is used.
}
