// A sealed server is unsealed on the page; then one logs in by keyboard alone, by a kept token, and by an AppRole.
import assert from 'node:assert/strict';
import { given, logIn, panel, scenario, until } from './harness.mjs';

await scenario(async (page, seen) => {
  const seal = panel(page, 'Seal');
  await seal.getByText('Sealed', { exact: true }).waitFor();
  await seal.getByText('0 of 2 shares given').waitFor();
  const share = seal.getByLabel('Key share');
  assert.equal(await share.getAttribute('type'), 'password');

  await share.fill('no share at all');
  await seal.getByRole('button', { name: 'Give share' }).click();
  await seal.getByRole('alert').waitFor();
  assert.equal(await share.inputValue(), '', 'a share is cleared at once, also a wrong one');

  await share.fill(given.shares[0]);
  await page.keyboard.press('Enter');
  await seal.getByText('1 of 2 shares given').waitFor();
  assert.equal(await share.inputValue(), '');
  await share.fill(given.shares[1]);
  await page.keyboard.press('Enter');
  await seal.getByText('Unsealed', { exact: true }).waitFor();
  await page.getByRole('banner').getByText('Unsealed', { exact: true }).waitFor();

  await wrongToken(page);
  await mangledToken(page, seen);
  await byKeyboard(page, seen);
  await keptInTheTab(page);
  await byAppRole(page);
});

async function wrongToken(page) {
  await page.getByLabel('Token', { exact: true }).last().fill('shub_this-is-no-token-at-all');
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('alert').getByText('UNAUTHENTICATED').waitFor();
}

/** A token that was not copied whole: no header takes its last characters, so it is not even sent. */
async function mangledToken(page, seen) {
  const sent = seen.operations.length;
  for (const token of ['shub_Fz8v9Xb…', '“shub_Fz8v9Xb”', 'shub_Fz8 v9Xb', 'shub_Fz8v9Xb¬']) {
    await page.getByLabel('Token', { exact: true }).last().fill(token);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('alert').getByText(/^This is no token: /).waitFor();
    await page.getByRole('alert').getByText('UNAUTHENTICATED').waitFor();
    await page.reload();
  }
  assert.ok(!seen.operations.slice(sent).some((text) => text.includes('query Me')), 'it is not sent');
}

/** From the top of the page with Tab, typing and Enter: log in, and run the first operation of the explorer. */
async function byKeyboard(page, seen) {
  await page.reload();
  await page.getByRole('button', { name: 'Log in' }).waitFor();
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute('name') ?? document.activeElement?.textContent);
  await until('the field for the token has the focus', async () => (await focused()) === 'token');
  await page.keyboard.type(given.token);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Log out' }).waitFor();

  const run = page.getByRole('button', { name: /Execute query/ });
  await run.waitFor();
  await until('the schema is there', () => seen.operations.some((text) => text.includes('IntrospectionQuery')));
  for (let presses = 0; !(await run.evaluate((button) => button === document.activeElement)); presses += 1) {
    assert.ok(presses < 60, 'the button that runs an operation is reached by Tab');
    // an editor is one stop: Enter goes into it, Escape out of it
    await page.keyboard.press('Tab');
  }
  await page.keyboard.press('Enter');
  await page.getByLabel('Result Window').getByText('"displayName"').waitFor();
  await page.getByRole('status').getByText('The answer is in the result window.').waitFor();
  assert.ok(seen.operations.some((text) => text.includes('WhoAmI')));
}

async function keptInTheTab(page) {
  assert.equal(await page.evaluate(() => sessionStorage.length), 0, 'nothing is kept unasked');
  await page.reload();
  await page.getByRole('button', { name: 'Log in' }).waitFor();
  await page.getByLabel('Keep me logged in when this tab is reloaded').check();
  await logIn(page);
  await page.reload();
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByText('You are logged out.').waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0, 'logging out forgets the token');
}

/** A login that ends after some seconds, and is then over by itself. */
async function byAppRole(page) {
  await page.getByRole('radio', { name: 'AppRole' }).check();
  await page.getByLabel('RoleID').fill(given.roleId);
  await page.getByLabel('SecretID').fill(given.secretId);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('banner').getByText('role:visitor').waitFor();
  await page.getByRole('banner').getByText(/ends in \d+ s/).waitFor();
  await page.getByText('Your token has ended. Log in again to go on.').waitFor();
}
