// On a server that runs nothing but the documents of its manifest, the panels work all the same, and the explorer says why it does not.
import assert from 'node:assert/strict';
import { given, logIn, open, panel, scenario, unseal, until } from './harness.mjs';

await scenario(async (page) => {
  await unseal(page);
  await logIn(page);
  await page.getByText(/^The server does not show its schema.* This server runs only the documents of its manifest/).waitFor();
  await page.getByRole('button', { name: /Execute query/ }).click();
  await page.getByLabel('Result Window').getByText('"FORBIDDEN"').waitFor();

  await open(page, 'Overview');
  await until('all four are live', async () => (await page.getByText('Live', { exact: true }).count()) === 4);
  const secrets = panel(page, 'Secrets');
  await secrets.getByText('50 secrets shown, there are more.').waitFor();
  await secrets.getByRole('button', { name: 'Load more' }).click();
  await secrets.getByText('61 secrets shown.').waitFor();
  await secrets.getByRole('button', { name: 'prod.app.redis_url' }).click();
  const secret = panel(page, 'prod.app.redis_url');
  await secret.getByRole('button', { name: 'Reveal version 1' }).click();
  await secret.getByLabel('Value').getByText('redis://old').waitFor();
  await panel(page, 'Leases').getByText('No lease that you may see ends in that time.').waitFor();
  const log = panel(page, 'Audit');
  await log.getByRole('rowheader', { name: 'secret.accessed' }).first().waitFor();
  await log.getByRole('button', { name: 'Verify the chain' }).click();
  await log.getByText(/^Unaltered/).waitFor();
  assert.equal(await page.getByRole('main').getByText('FORBIDDEN').filter({ visible: true }).count(), 0, 'no panel was refused');
  await page.getByRole('button', { name: 'Revoke token' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke and log out' }).click();
  await page.getByText('You are logged out and your token is revoked.').waitFor();
});
