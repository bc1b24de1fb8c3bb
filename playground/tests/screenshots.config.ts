// `npm run screenshots` writes each view in both themes and two widths to screenshots/, and the one of the README.
import base from "../playwright.config.ts";

export default { ...base, testDir: "screenshots", outputDir: "../test-results", timeout: 120_000 };
