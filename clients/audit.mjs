// Runs the audits of graphql-http against a server: `node audit.mjs http://localhost:8000/graphql`
import { serverAudits } from "graphql-http";

let failed = 0;
const audits = serverAudits({ url: process.argv[2] });
for (const { name, fn } of audits) {
  const result = await fn();
  if (result.status !== "ok") {
    failed += 1;
    console.log(`${name}: ${result.reason}`);
  }
}
console.log(`${audits.length - failed} of ${audits.length} audits passed`);
process.exitCode = failed ? 1 : 0;
