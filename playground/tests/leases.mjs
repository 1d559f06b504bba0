// With more leases than a page holds, those that end next are shown, whenever they were asked for.
import assert from 'node:assert/strict';
import { given, logIn, open, panel, scenario } from './harness.mjs';

const api = new URL('/graphql', given.url).href;

await scenario(async (page) => {
  await logIn(page);
  await open(page, 'Leases');
  const list = panel(page, 'Leases');
  const rows = list.getByRole('row').filter({ has: page.getByRole('rowheader') });
  const first = rows.first();
  await list.getByText('100 leases, there are more that end later.').waitFor();
  assert.equal(await rows.count(), 100);
  assert.match(await first.textContent(), /prod\.cache\.soon.*\d min/, 'it was asked for last, and ends first');

  // one that comes by itself is put where it belongs; behind the last one shown there are others
  await list.getByText(/^(Live|Every 5 s)$/).waitFor();
  await issue(page, 'prod.cache.next', 120);
  await first.getByRole('rowheader').getByText('prod.cache.next').waitFor();
  await issue(page, 'prod.cache.late', 14_000);
  await list.getByRole('button', { name: 'Load more' }).click();
  await list.getByText(`${given.leases + 2} leases.`).waitFor();
  assert.match(await rows.last().textContent(), /prod\.cache\.late/);
  const paths = await list.getByRole('rowheader').allTextContents();
  assert.deepEqual(paths.slice(0, 2).map((path) => /prod\.cache\.\w+?(?=redis)/.exec(path)?.[0]), ['prod.cache.next', 'prod.cache.soon']);
});

async function issue(page, path, ttlSeconds) {
  const query = 'mutation($input: IssueCredentialsInput!) { issueCredentials(input: $input) { lease { leaseId } } }';
  const answer = await page.request.post(api, { data: { query, variables: { input: { path, ttlSeconds } } }, headers: { Authorization: `Bearer ${given.token}` } });
  assert.equal((await answer.json()).errors, undefined);
}
