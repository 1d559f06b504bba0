// Every audit of graphql-http against a server: GraphQL over HTTP to the letter. Anything but `ok` fails.
import { serverAudits } from 'graphql-http';

const audits = serverAudits({ url: process.env.SECRETHUB_URL, fetchFn: fetch });
const found = { ok: 0, notice: 0, warn: 0, error: 0 };
for (const audit of audits) {
  const result = await audit.fn();
  found[result.status] += 1;
  if (result.status !== 'ok') {
    console.log(`${result.status}: ${audit.id} ${audit.name}: ${result.reason ?? ''}`);
  }
}
console.log(`${audits.length} audits: ${JSON.stringify(found)}`);
// fewer would mean that the audits themselves were not found
process.exit(audits.length >= 61 && found.ok === audits.length ? 0 : 1);
