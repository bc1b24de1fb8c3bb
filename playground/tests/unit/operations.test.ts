import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { buildSchema, Kind, parse, validate } from "graphql";
import { describe, expect, test } from "vitest";

const ROOT = resolve(import.meta.dirname, "../..");
const schema = buildSchema(readFileSync(resolve(ROOT, "../schema.graphql"), "utf8"));
const files = readdirSync(resolve(ROOT, "operations")).filter((name) => name.endsWith(".graphql"));
const read = (name: string) => readFileSync(resolve(ROOT, "operations", name), "utf8");

describe("the documented operations", () => {
  test("there_is_a_file_for_each_area", () => {
    expect(files).toEqual([
      "account.graphql",
      "chatrooms.graphql",
      "checkout.graphql",
      "quota.graphql",
      "search.graphql",
      "send-and-follow.graphql",
      "share.graphql",
      "sign-in.graphql",
    ]);
  });

  for (const name of files) {
    test(`${name} is valid by itself`, () => {
      expect(validate(schema, parse(read(name)))).toEqual([]);
    });
  }

  test("every_operation_has_a_name_of_its_own", () => {
    const definitions = files.flatMap((name) => parse(read(name)).definitions);
    const names = definitions.map((definition) =>
      definition.kind === Kind.OPERATION_DEFINITION ? definition.name?.value : "",
    );
    const operations = names.filter((name) => name !== "");
    expect(operations).not.toContain(undefined);
    expect(new Set(operations).size).toBe(operations.length);
  });
});
