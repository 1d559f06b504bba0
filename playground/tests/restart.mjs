// The server is killed while its panels are followed, comes back sealed, and is unsealed by somebody else: the panels say so at each
// step, and go on by themselves. Afterwards the editor's files cannot be had: the rest of the page is there all the same.
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { given, logIn, open, panel, scenario, until } from './harness.mjs';

const api = new URL('/graphql', given.url).href;
const PANELS = ['Secrets', 'Leases', 'Audit'];
const REFUSED = /server is sealed/i;

await scenario(async (page) => {
  await logIn(page);
  // all of the page is loaded, workers of the editor included
  await page.locator('.monaco-editor').first().waitFor();
  await page.waitForLoadState('networkidle');
  await open(page, 'Overview');
  await until('all four follow', async () => (await page.getByText('Live', { exact: true }).count()) === 4);
  writeFileSync(join(given.folder, 'followed'), '');
  await until('the server came back', () => existsSync(join(given.folder, 'restarted')));

  // long enough for the sockets to come back too, and to be told that there is nothing to follow
  await until('the panels say that it is sealed', async () => {
    const refusals = await Promise.all(PANELS.map((name) => panel(page, name).getByText(REFUSED).count()));
    return refusals.every((count) => count > 0);
  });
  await page.waitForTimeout(8_000);
  for (const share of given.shares.slice(0, 2)) {
    const query = 'mutation($share: String!) { unseal(input: {share: $share}) { status { sealed } } }';
    const answer = await page.request.post(api, { data: { query, variables: { share } } });
    assert.equal((await answer.json()).errors, undefined);
  }
  await until('no panel says so any more', async () => (await page.getByText(REFUSED).count()) === 0);
  await until('all four follow again', async () => (await page.getByText('Live', { exact: true }).count()) === 4);
  await panel(page, 'Secrets').getByText('prod.app.redis_url', { exact: false }).first().waitFor();

  await page.route('**/assets/explorer-*', (route) => route.abort());
  await page.reload();
  await logIn(page);
  await open(page, 'Explorer');
  await page.getByText('The editor could not be loaded.').waitFor();
  await open(page, 'Overview');
  await panel(page, 'Secrets').getByText('Live', { exact: true }).waitFor();
  await page.unroute('**/assets/explorer-*');
  await open(page, 'Explorer');
  await page.getByRole('button', { name: 'Load the page again' }).click();
  await logIn(page);
  await page.locator('.monaco-editor').first().waitFor();
}, { breaks: /^WebSocket connection to|dynamically imported module|Unable to preload CSS|^Event$/ });
