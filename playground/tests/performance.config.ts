// `npm run performance` measures long replies. It is not part of the tests: its result depends on the machine.
import base from "../playwright.config.ts";

export default {
  ...base,
  testDir: "performance",
  outputDir: "../test-results",
  timeout: 180_000,
  use: { ...base.use, trace: "off" },
};
