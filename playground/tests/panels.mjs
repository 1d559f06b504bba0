// Each panel does its work on a server with some secrets, a lease and an audit log; somebody who may do little reads why.
import assert from 'node:assert/strict';
import { given, logIn, open, panel, scenario, unseal, until } from './harness.mjs';

const api = new URL('/graphql', given.url).href;

await scenario(async (page) => {
  await logIn(page, given.powerless);
  await open(page, 'Audit');
  await panel(page, 'Audit').getByRole('alert').getByText('FORBIDDEN').waitFor();
  await open(page, 'Secrets');
  await panel(page, 'Secrets').getByText('No secret here that you may list.').waitFor();
});

await scenario(async (page, seen) => {
  await logIn(page, given.counted.token);
  await countedUses(page, seen);
});

await scenario(async (page, seen) => {
  await logIn(page);
  await secrets(page, seen);
  await leases(page);
  await audit(page);
  await explorer(page);
  await sealing(page);
  await revokedToken(page);
});

/** What was pressed may be gone: then the focus is on what is shown instead of it. */
async function focused(element) {
  await until(`the focus is on ${element}`, () => element.evaluate((node) => node === document.activeElement));
}

/** What the server answers to somebody beside the page. */
async function asked(page, query, variables) {
  const answer = await page.request.post(api, { data: { query, variables }, headers: { Authorization: `Bearer ${given.token}` } });
  const { data, errors } = await answer.json();
  assert.equal(errors, undefined);
  return data;
}

async function put(page, path, data) {
  await asked(page, 'mutation($input: PutSecretInput!) { putSecret(input: $input) { secret { version } } }', { input: { path, data } });
}

/** Each request is one that somebody wanted: logging in, running an operation, and reading the schema. */
async function countedUses(page, seen) {
  const { accessor, uses } = given.counted;
  const left = async () => (await asked(page, 'query($accessor: ID!) { token(accessor: $accessor) { usesLeft } }', { accessor })).token.usesLeft;
  const run = page.getByRole('button', { name: /Execute query/ });
  await run.waitFor();
  await page.getByText(/the schema is not read unasked/).waitFor();
  await page.locator('.monaco-editor .view-lines').getByText('displayName').first().waitFor();
  await run.click();
  await page.getByLabel('Result Window').getByText('"displayName"').waitFor();
  assert.equal(await left(), uses - 2, 'one to log in, one to run the operation');
  const readings = () => seen.operations.filter((text) => text.includes('IntrospectionQuery')).length;
  assert.equal(readings(), 0, 'the schema is not read unasked: most servers count that too');
  await page.getByRole('button', { name: 'Read the schema with one request' }).click();
  await focused(page.getByRole('main'));
  await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
  await page.getByText('root types').waitFor();
  assert.equal(readings(), 1);
}

async function secrets(page, seen) {
  await open(page, 'Secrets');
  const list = panel(page, 'Secrets');
  await list.getByText('50 secrets shown, there are more.').waitFor();
  await list.getByRole('button', { name: 'Load more' }).click();
  await list.getByText('62 secrets shown.').waitFor();
  await focused(list.getByText('62 secrets shown.'));
  await list.getByLabel('Prefix').fill('prod.app');
  await list.getByLabel('Text in path or description').fill('REDIS');
  await page.keyboard.press('Enter');
  await list.getByText('1 secret shown.').waitFor();

  // comes by itself, pushed or asked for
  await put(page, 'prod.app.redis_password', { value: 'x' });
  await list.getByRole('button', { name: 'prod.app.redis_password' }).waitFor();

  await list.getByRole('button', { name: 'prod.app.redis_url' }).click();
  const secret = panel(page, 'prod.app.redis_url');
  await secret.getByText('where the shop keeps its sessions').waitFor();
  assert.ok(!seen.operations.some((text) => text.includes('RevealSecret')), 'no value is read unasked');
  await secret.getByRole('button', { name: 'Reveal version 2' }).click();
  const value = secret.getByLabel('Value');
  await value.waitFor();
  await focused(value);
  assert.deepEqual(await value.textContent(), '{\n  "big": 9007199254740993,\n  "value": "redis://new"\n}', 'digit by digit as it is stored');
  await secret.getByRole('button', { name: 'Hide' }).click();
  await value.waitFor({ state: 'detached' });
  await focused(secret.getByRole('button', { name: 'Reveal version 2' }));
  await page.clock.install();
  await secret.getByRole('button', { name: 'Reveal version 1' }).click();
  await value.waitFor();
  await page.clock.fastForward(31_000);
  await value.waitFor({ state: 'detached' });
  await page.clock.resume();
}

async function leases(page) {
  await open(page, 'Leases');
  const list = panel(page, 'Leases');
  const row = list.getByRole('row', { name: /prod\.cache\.main/ });
  await row.getByText(/^\d+ min|^1 h/).waitFor();
  await row.getByRole('button', { name: /^Revoke/ }).click();
  const dialog = page.getByRole('dialog', { name: 'Revoke this lease?' });
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await dialog.waitFor({ state: 'detached' });
  await focused(row.getByRole('button', { name: /^Revoke/ }));
  await row.getByRole('button', { name: /^Revoke/ }).click();
  await dialog.getByRole('button', { name: 'Revoke', exact: true }).click();
  await dialog.waitFor({ state: 'detached' });
  await row.waitFor({ state: 'detached' });
  await focused(list.getByText('No lease that you may see ends in that time.'));
}

async function audit(page) {
  await open(page, 'Audit');
  const log = panel(page, 'Audit');
  await log.getByRole('rowheader', { name: 'lease.revoked' }).first().waitFor();
  await log.getByRole('button', { name: 'Verify the chain' }).click();
  await log.getByText(/^Unaltered: every hash, number and signature of \d+ events is right\.$/).waitFor();

  await log.getByLabel('Event types').fill('secret.accessed');
  await log.getByLabel('Path').fill('prod.app');
  await page.keyboard.press('Enter');
  await until('only reads are listed', async () => {
    const types = await log.getByRole('rowheader').allTextContents();
    return types.length > 0 && types.every((type) => type === 'secret.accessed');
  });
  assert.equal(await log.getByRole('rowheader').count(), 2, 'both values that were revealed');

  await log.getByRole('button', { name: 'Pause' }).click();
  await log.getByText('Not live').waitFor();
  await log.getByRole('button', { name: 'Go on' }).click();
  await log.getByText(/^(Live|Every 5 s)$/).waitFor();
}

/** An operation of the tour, with its variables, and the documentation of the schema. */
async function explorer(page) {
  await open(page, 'Explorer');
  const tour = page.getByRole('region', { name: 'Tour' });
  await tour.getByRole('button', { name: 'Create a policy' }).click();
  await page.getByRole('button', { name: /Execute query/ }).click();
  await page.getByLabel('Result Window').getByText('"web-read"').waitFor();
  await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
  await page.getByRole('link', { name: 'Query', exact: true }).or(page.getByText('root types')).first().waitFor();
}

/** The server is sealed by somebody else: the page says so by itself, and unseals it. */
async function sealing(page) {
  const body = { query: 'mutation { seal { status { sealed } } }' };
  await page.request.post(api, { data: body, headers: { Authorization: `Bearer ${given.token}` } });
  await page.getByText('The server is sealed and answers nothing but its seal.').waitFor();
  await page.getByRole('link', { name: 'Unseal it' }).click();
  await unseal(page);
}

async function revokedToken(page) {
  await page.getByRole('button', { name: 'Revoke token' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke and log out' }).click();
  await page.getByText('You are logged out and your token is revoked.').waitFor();
  const body = { query: '{ me { displayName } }' };
  const answer = await page.request.post(api, { data: body, headers: { Authorization: `Bearer ${given.token}` } });
  assert.equal((await answer.json()).errors[0].extensions.code, 'UNAUTHENTICATED');
}
