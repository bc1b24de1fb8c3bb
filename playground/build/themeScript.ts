// Adds a script to each page that runs before the first paint. Vite bundles modules only, and a module runs too late.
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import type { Plugin } from "vite";

export function themeScript(file: string): Plugin {
  const developmentUrl = `/src/${basename(file)}`;
  let reference: string | undefined;
  return {
    name: "theme-script",
    buildStart() {
      if (this.environment.mode !== "build") return;
      reference = this.emitFile({ type: "asset", name: basename(file), source: readFileSync(file, "utf8") });
    },
    transformIndexHtml: {
      order: "post",
      handler(_html, { bundle }) {
        const built = Object.values(bundle ?? {}).find(
          (asset) => asset.type === "asset" && asset.names.includes(basename(file)),
        );
        if (bundle && !built) throw new Error(`${basename(file)} was not emitted (${reference ?? "no reference"})`);
        const src = built ? `/${built.fileName}` : developmentUrl;
        return [{ tag: "script", attrs: { src }, injectTo: "head-prepend" }];
      },
    },
  };
}
