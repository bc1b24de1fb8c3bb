import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { compress } from "./build/compress.ts";
import { licenses } from "./build/licenses.ts";
import { themeScript } from "./build/themeScript.ts";

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const collected = licenses();

export default defineConfig({
  plugins: [react(), themeScript(path("src/theme.js")), collected.plugin(), collected.emit("licenses.txt"), compress()],
  worker: { format: "es", plugins: () => [collected.plugin()] },
  build: {
    target: "es2022",
    // The content security policy allows no inline module, and small files are better cached by themselves.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // Of the GraphQL editor, which is loaded only when it is opened.
    chunkSizeWarningLimit: 5_000,
    rolldownOptions: {
      input: { index: path("index.html"), graphiql: path("graphiql.html") },
      output: { codeSplitting: { groups: [{ name: "react", test: /node_modules\/(react|react-dom|scheduler)\// }] } },
      onLog(level, log, handle) {
        // Packages that were compiled by React's compiler contain directives for it, which mean nothing here.
        if (log.code !== "MODULE_LEVEL_DIRECTIVE") handle(level, log);
      },
    },
  },
  server: {
    proxy: {
      "/graphql": { target: process.env.POLLUX_URL ?? "http://127.0.0.1:8000", ws: true },
      "/chatrooms": process.env.POLLUX_URL ?? "http://127.0.0.1:8000",
      "/my-data": process.env.POLLUX_URL ?? "http://127.0.0.1:8000",
    },
  },
});
