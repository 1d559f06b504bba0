// What the scenarios share: a browser on a running server, and what must hold on every page whatever is done there.
import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';
import { chromium } from 'playwright-core';

/** What the test that started this hands over on standard input: `url`, `token` and what its scenario needs. */
export const given = JSON.parse(await text(process.stdin));

const PATIENCE_MS = 60_000;

/** Opens the page in a fresh browser, runs the scenario, and looks at what went on meanwhile. */
export async function scenario(run, { colorScheme = 'light', viewport = { width: 1440, height: 900 }, breaks = null } = {}) {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
  try {
    const context = await browser.newContext({ colorScheme, viewport, reducedMotion: 'reduce' });
    context.setDefaultTimeout(PATIENCE_MS);
    const page = await context.newPage();
    const seen = watch(page);
    await page.addInitScript(() => {
      window.violations = [];
      document.addEventListener('securitypolicyviolation', (event) => {
        window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
      });
    });
    await page.goto(given.url);
    await run(page, seen);
    assert.deepEqual(await page.evaluate(() => window.violations), [], 'violations of the content security policy');
    assert.deepEqual(seen.foreign, [], 'requests to other origins');
    // what a scenario breaks itself is no fault of the page
    const errors = seen.errors.filter((error) => !breaks?.test(error));
    assert.deepEqual(errors, [], 'errors on the page');
    await noTokenIsStored(page);
  } finally {
    await browser.close();
  }
}

/** Requests and errors of the page, as they come. */
function watch(page) {
  const seen = { foreign: [], errors: [], operations: [] };
  const own = new URL(given.url).host;
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.protocol !== 'data:' && url.protocol !== 'blob:' && url.host !== own) seen.foreign.push(request.url());
    if (url.pathname === '/graphql') seen.operations.push(request.postData() ?? '');
  });
  page.on('websocket', (socket) => {
    if (new URL(socket.url()).host !== own) seen.foreign.push(socket.url());
  });
  page.on('pageerror', (error) => seen.errors.push(String(error)));
  page.on('console', (message) => {
    // a refusal that a scenario provokes shows up as a failed request
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) seen.errors.push(message.text());
  });
  return seen;
}

/** Nothing of this origin's permanent storage may hold a token, in whatever way it was written. */
async function noTokenIsStored(page) {
  const stored = await page.evaluate(async () => JSON.stringify({
    local: { ...localStorage },
    cookies: document.cookie,
    databases: (await indexedDB.databases()).map(({ name }) => name),
    caches: await (globalThis.caches?.keys() ?? []),
    address: location.href,
  }));
  for (const secret of [given.token, given.secretId, ...(given.shares ?? [])].filter(Boolean)) {
    assert.ok(!stored.includes(secret), `a secret is stored: ${stored}`);
  }
  assert.deepEqual(JSON.parse(stored).databases, []);
}

/** Logs in by the form, with the mouse and the keyboard. */
export async function logIn(page, token = given.token) {
  await page.getByLabel('Token', { exact: true }).last().fill(token);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('button', { name: 'Log out' }).waitFor();
}

/** Gives the panel of the seal the two shares that open it. */
export async function unseal(page) {
  const seal = panel(page, 'Seal');
  await seal.getByLabel('Key share').fill(given.shares[0]);
  await page.keyboard.press('Enter');
  await seal.getByText('1 of 2 shares given').waitFor();
  await seal.getByLabel('Key share').fill(given.shares[1]);
  await page.keyboard.press('Enter');
  await seal.getByText('Unsealed', { exact: true }).waitFor();
}

/** Goes to a part of the page by its navigation. */
export async function open(page, name) {
  await page.getByRole('navigation', { name: 'Parts of the page' }).getByRole('link', { name, exact: true }).click();
}

/** A panel by its heading. */
export function panel(page, name) {
  return page.getByRole('region', { name, exact: true });
}

/** Waits until something holds that is no element. */
export async function until(what, holds) {
  const end = Date.now() + PATIENCE_MS;
  while (!(await holds())) {
    assert.ok(Date.now() < end, `not in time: ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
}
