// Collects the licenses of the packages that are bundled, for the pages and for the workers.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

const PACKAGE = /^(.*\/node_modules\/((?:@[^/]+\/)?[^/]+))\//;
const LICENSE_FILE = /^(licen[sc]e|notice|copying)/i;

export function licenses() {
  const directories = new Map<string, string>();
  return {
    plugin: (): Plugin => ({
      name: "collect-licenses",
      apply: "build",
      generateBundle(_options, bundle) {
        for (const output of Object.values(bundle)) {
          if (output.type !== "chunk") continue;
          for (const id of output.moduleIds) {
            const [, directory, name] = PACKAGE.exec(id.replace(/^\0/, "").replaceAll("\\", "/")) ?? [];
            if (directory && name) directories.set(directory, name);
          }
        }
      },
    }),
    emit: (fileName: string): Plugin => ({
      name: "emit-licenses",
      apply: "build",
      generateBundle: {
        order: "post",
        handler() {
          const texts = [...directories]
            .sort(([, a], [, b]) => a.localeCompare(b))
            .map(([directory]) => describe(directory));
          this.emitFile({ type: "asset", fileName, source: `${HEAD}\n${[...new Set(texts)].join("")}` });
        },
      },
    }),
  };
}

const HEAD = "This page contains the following packages.\n";

function describe(directory: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(directory, "package.json"), "utf8")) as Record<
    string,
    string
  >;
  const files = readdirSync(directory).filter((file) => LICENSE_FILE.test(file));
  const texts = files.map((file) => readFileSync(join(directory, file), "utf8").trim());
  return `\n${"=".repeat(80)}\n${name ?? ""} ${version ?? ""} (${license ?? "see below"})\n\n${texts.join("\n\n")}\n`;
}
