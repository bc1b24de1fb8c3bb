// Generates src/generated/operations.ts: a typed document for each operation in operations/, checked against ../schema.graphql.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { codegen } from "@graphql-codegen/core";
import * as typedDocumentNode from "@graphql-codegen/typed-document-node";
import * as operations from "@graphql-codegen/typescript-operations";
import { parse } from "graphql";

const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const read = (name) => parse(readFileSync(path(name), "utf8"), { noLocation: true });

const files = readdirSync(path("operations")).filter((name) => name.endsWith(".graphql"));
const filename = path("src/generated/operations.ts");
const output = await codegen({
  filename,
  schema: read("../schema.graphql"),
  documents: files.sort().map((name) => ({ location: name, document: read(`operations/${name}`) })),
  plugins: [{ operations: {} }, { typedDocumentNode: {} }],
  pluginMap: { operations, typedDocumentNode },
  config: {
    scalars: { DateTime: "string", PhoneNumber: "string" },
    enumType: "string-literal",
    enumsAsTypes: true,
    useTypeImports: true,
    optimizeDocumentNode: true,
  },
});
mkdirSync(path("src/generated"), { recursive: true });
writeFileSync(filename, output);
