// Generates typed documents (generated/operations.ts) from operations.graphql and schema.graphql, and the schema as JSON
// (generated/schema.json), from which urql's Graphcache knows the types.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { codegen } from "@graphql-codegen/core";
import * as typedDocumentNode from "@graphql-codegen/typed-document-node";
import * as operations from "@graphql-codegen/typescript-operations";
import { buildASTSchema, introspectionFromSchema, parse } from "graphql";

const read = (name) => parse(readFileSync(new URL(name, import.meta.url), "utf8"));
const filename = new URL("generated/operations.ts", import.meta.url);
const output = await codegen({
  filename: filename.pathname,
  schema: read("../schema.graphql"),
  documents: [{ location: "operations.graphql", document: read("operations.graphql") }],
  plugins: [{ operations: {} }, { typedDocumentNode: {} }],
  pluginMap: { operations, typedDocumentNode },
  config: { scalars: { DateTime: "string", PhoneNumber: "string" }, useTypeImports: true },
});
mkdirSync(new URL(".", filename), { recursive: true });
writeFileSync(filename, output);
const introspection = introspectionFromSchema(buildASTSchema(read("../schema.graphql")), { descriptions: false });
writeFileSync(new URL("generated/schema.json", import.meta.url), JSON.stringify(introspection));
