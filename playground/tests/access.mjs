// What a check by machine can say about access: axe finds nothing serious on any part of the page, in both themes.
import assert from 'node:assert/strict';
import axe from 'axe-core';
import { logIn, open, scenario, until } from './harness.mjs';

for (const colorScheme of ['light', 'dark']) {
  for (const viewport of [{ width: 1440, height: 900 }, { width: 400, height: 800 }]) {
    await scenario(async (page) => {
      await check(page, 'log in');
      await logIn(page);
      await page.getByRole('button', { name: /Execute query/ }).waitFor();
      await check(page, 'explorer');
      await words(page);
      await documentation(page);
      for (const name of ['Overview', 'Seal', 'Secrets', 'Leases', 'Audit']) {
        await open(page, name);
        await until('the panels are filled', async () => (await page.locator('[aria-busy="true"]').count()) === 0);
        await check(page, name);
      }
      await open(page, 'Secrets');
      await page.getByRole('button', { name: 'prod.app.redis_url' }).click();
      await page.getByRole('button', { name: /^Reveal/ }).first().click();
      await page.getByLabel('Value').waitFor();
      await check(page, 'a secret');
      await page.getByRole('button', { name: 'Revoke token' }).click();
      await check(page, 'a question');
    }, { colorScheme, viewport });
  }
}

/** A document with every kind of word that the editor has a colour for. */
async function words(page) {
  const text = 'query Q($n: Int! = 7, $on: Boolean = true) { # a comment\n  secrets(first: $n, prefix: "prod") @include(if: $on) { nodes { path } }\n}';
  await page.locator('.graphiql-query-editor .view-lines').click();
  await page.keyboard.press('ControlOrMeta+A');
  await page.keyboard.insertText(text);
  await page.locator('.view-line', { hasText: '@include' }).waitFor();
  // one for each kind, once they have their colours
  await until('words have colours', async () => (await page.evaluate(() => {
    const spans = document.querySelectorAll('.graphiql-query-editor .view-line span span');
    return new Set([...spans].map((span) => getComputedStyle(span).color)).size;
  })) >= 7);
  // what is suggested may come later than the text
  await until('nothing is suggested', async () => {
    await page.keyboard.press('Escape');
    return (await page.locator('.suggest-widget.visible').count()) === 0;
  });
  await check(page, 'every kind of word');
}

/** An operation of the tour, which begins with a comment, its answer, and the documentation from the root types to arguments and values. */
async function documentation(page) {
  const tour = page.getByRole('region', { name: 'Tour' });
  if (!(await tour.isVisible())) await page.getByRole('button', { name: 'Show Tour' }).click();
  await tour.getByRole('button', { name: 'Find secrets' }).click();
  await page.locator('.view-line', { hasText: '#' }).first().waitFor();
  await page.getByRole('button', { name: /Execute query/ }).click();
  await page.getByRole('status').getByText('The answer is in the result window.').waitFor();
  await check(page, 'an operation of the tour');
  await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
  const docs = page.locator('.graphiql-doc-explorer');
  await docs.getByText('root types').waitFor();
  await check(page, 'documentation');
  for (const name of ['Query', 'secrets', 'SecretType']) {
    await docs.getByRole('link', { name, exact: true }).first().click();
    await docs.locator('.graphiql-doc-explorer-title').getByText(name, { exact: true }).waitFor();
    await check(page, `documentation of ${name}`);
  }
}

/** GraphiQL puts two buttons into each of its tabs. They can be reached and are named; the markup is not ours to change. */
function isGraphiqlTab(rule, node) {
  return rule === 'nested-interactive' && node.target.every((target) => target.startsWith('.graphiql-tab'));
}

/** Of every text that is to be seen; different at each call while one of them is on its way to another. */
async function colours(page) {
  return page.evaluate(() => {
    const moving = document.getAnimations().some((animation) => animation instanceof CSSTransition);
    const all = [...document.querySelectorAll('body *')].map((element) => {
      const { color, backgroundColor } = getComputedStyle(element);
      return `${color} ${backgroundColor}`;
    });
    return moving ? String(Math.random()) : all.join();
  });
}

async function check(page, where) {
  // a change of colours reaches what lies deep in the page some frames later, and the editor when it has been loaded
  await until('colours have settled', async () => {
    const before = await colours(page);
    await new Promise((resolve) => { setTimeout(resolve, 250); });
    return before === (await colours(page));
  });
  // sent over the debugger's line, which the page's policy does not bind
  await page.evaluate(axe.source);
  const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const serious = result.violations
    .map((violation) => ({ ...violation, nodes: violation.nodes.filter((node) => !isGraphiqlTab(violation.id, node)) }))
    .filter(({ nodes }) => nodes.length > 0)
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ target, failureSummary }) => `${target.join(' ')} ${failureSummary}`).slice(0, 5).join('; ')}`);
  assert.deepEqual(serious, [], `${where}, ${page.viewportSize().width} pixels wide`);
  const tooWide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
  assert.ok(!tooWide, `${where}: the page is wider than ${page.viewportSize().width} pixels`);
}
