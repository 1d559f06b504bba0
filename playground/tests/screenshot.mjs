// Makes the pictures of the README, by hand, of a server of `secrethub dev` that has been through the tours:
//   echo '{"url": "http://127.0.0.1:8200", "token": "…"}' | node tests/screenshot.mjs
import { logIn, open, panel, scenario } from './harness.mjs';

const size = { width: 1360, height: 850 };

await scenario(async (page) => {
  await logIn(page);
  await page.getByRole('button', { name: /Execute query/ }).waitFor();
  await page.waitForTimeout(3_000);
  await page.getByRole('tab', { name: /FindSecrets/ }).click();
  await page.waitForTimeout(1_000);
  await page.getByRole('button', { name: /Execute query/ }).click();
  await page.getByRole('status').getByText('The answer is in the result window.').waitFor();
  await page.waitForTimeout(1_000);
  await page.screenshot({ path: 'screenshot.png' });
}, { colorScheme: 'light', viewport: size });

await scenario(async (page) => {
  await logIn(page);
  await open(page, 'Overview');
  await panel(page, 'Audit').getByRole('button', { name: 'Verify the chain' }).click();
  await panel(page, 'Audit').getByText(/^Unaltered/).waitFor();
  await page.waitForTimeout(1_500);
  await page.screenshot({ path: 'screenshot-panels.png' });
}, { colorScheme: 'dark', viewport: size });
