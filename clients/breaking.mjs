// Fails if schema.graphql has breaking changes since the last release (schema.released.graphql).
import { readFileSync } from "node:fs";
import { CriticalityLevel, diff } from "@graphql-inspector/core";
import { buildSchema } from "graphql";

const read = (name) => buildSchema(readFileSync(new URL(`../${name}`, import.meta.url), "utf8"));
const changes = await diff(read("schema.released.graphql"), read("schema.graphql"));
const breaking = changes.filter(({ criticality }) => criticality.level === CriticalityLevel.Breaking);
for (const { message, path } of breaking) console.log(`${path}: ${message}`);
console.log(`${changes.length} changes since the last release, ${breaking.length} of them breaking`);
process.exitCode = breaking.length ? 1 : 0;
