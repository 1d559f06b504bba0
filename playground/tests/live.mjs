// The panels on a socket that speaks graphql-transport-ws as the scenario wishes: what is pushed is shown, a broken
// connection is taken up after the last cursor, a refusal is read, and without a socket the panels ask. Answers over HTTP
// are the server's own; some come as late as the scenario wishes.
import assert from 'node:assert/strict';
import { given, logIn, open, panel, scenario, until } from './harness.mjs';

/** What the page asked for, and the sockets that it asked on. */
const wire = { sockets: new Set(), started: [], reachable: true };
/** Operations that were answered, by name, and what holds an answer back: who has to wait, and for what. */
const answers = { given: new Map(), held: () => false, waiting: 0, released: Promise.resolve() };

await scenario(async (page) => {
  await page.route('**/graphql', (route) => answer(route));
  await page.routeWebSocket('**/graphql', (socket) => speak(socket));
  await page.reload();
  await logIn(page);
  await loaded(page);
  await readAnew(page);

  answers.given.clear();
  await open(page, 'Overview');
  await until('all four follow', () => ['sealStatusChanged', 'secretChanged', 'leaseChanged', 'auditEventAdded'].every(follows));
  await until('all four say so', async () => (await page.getByText('Live', { exact: true }).count()) === 4);
  await pushed(page);
  await brokenConnection(page);
  await refusal(page);
  await withoutSocket(page);
});

/** Hands on what the server says, when it is time. */
async function answer(route) {
  const { operationName, variables = {} } = route.request().postDataJSON();
  const response = await route.fetch();
  if (answers.held(operationName, variables)) {
    answers.waiting += 1;
    await answers.released;
  }
  // the page may have given up waiting
  await route.fulfill({ response }).catch(() => undefined);
  answers.given.set(operationName, (answers.given.get(operationName) ?? 0) + 1);
}

/** Holds back answers of what meets `held`, until what this gives is called. */
function hold(held) {
  let release;
  Object.assign(answers, { held, waiting: 0, released: new Promise((resolve) => { release = resolve; }) });
  return () => {
    answers.held = () => false;
    release();
  };
}

/** The server's side of the protocol. */
function speak(socket) {
  if (!wire.reachable) {
    socket.close({ code: 1013, reason: 'try again later' });
    return;
  }
  wire.sockets.add(socket);
  socket.onClose(() => wire.sockets.delete(socket));
  socket.onMessage((text) => {
    const message = JSON.parse(text);
    if (message.type === 'connection_init') {
      assert.deepEqual(message.payload, { Authorization: `Bearer ${given.token}` });
      socket.send(JSON.stringify({ type: 'connection_ack' }));
    }
    if (message.type === 'subscribe') {
      const field = /subscription \w+(?:\([^)]*\))? \{\s*(\w+)/.exec(message.payload.query)[1];
      wire.started.push({ field, id: message.id, socket, variables: message.payload.variables ?? {}, ended: false });
    }
    for (const started of wire.started) started.ended ||= message.type === 'complete' && started.socket === socket && started.id === message.id;
    if (message.type === 'ping') socket.send(JSON.stringify({ type: 'pong' }));
  });
}

/** The last subscription of a field that is on an open socket. */
function follows(field) {
  return wire.started.findLast((started) => started.field === field && !started.ended && wire.sockets.has(started.socket));
}

function push(field, value) {
  const { id, socket } = follows(field);
  socket.send(JSON.stringify({ id, type: 'next', payload: { data: { [field]: value } } }));
}

function breakOff() {
  for (const socket of [...wire.sockets]) {
    wire.sockets.delete(socket);
    socket.close({ code: 1012, reason: 'service restart' });
  }
}

function secret(path, version) {
  const now = new Date().toISOString();
  return { id: `secret:${path}`, path, type: 'STATIC', version, description: null, metadata: {}, createdAt: now, createdBy: null, updatedAt: now };
}

function lease(id, minutes, overdueSeconds) {
  return {
    id: `lease:${id}`, leaseId: id, path: `prod.db.${id}`, engineType: 'postgresql', actorId: 'role:billing', state: 'ACTIVE',
    issuedAt: new Date().toISOString(), expiresAt: new Date(Date.now() + minutes * 60_000).toISOString(), renewable: true,
    renewedCount: 0, overdueSeconds, lastRevocationError: overdueSeconds === null ? null : 'the target does not answer', revocationReason: null,
  };
}

/** A list that is read again, for whatever reason, while a further page is on its way has that page afterwards. */
async function loaded(page) {
  await open(page, 'Secrets');
  const list = panel(page, 'Secrets');
  await list.getByText('50 secrets shown, there are more.').waitFor();
  await until('it follows, and has looked again since', () => follows('secretChanged') && answers.given.get('Secrets') >= 2);
  const release = hold((name, { after }) => name === 'Secrets' && after);
  await list.getByRole('button', { name: 'Load more' }).click();
  await until('the second page is on its way', () => answers.waiting === 1);
  await list.getByRole('button', { name: 'Refresh' }).click();
  await list.getByText('61 secrets shown.').waitFor();
  release();
  await list.getByRole('button', { name: 'Refresh' }).click();
  await list.locator('[aria-busy="false"]').waitFor();
  assert.equal(await list.getByRole('status').last().textContent(), '61 secrets shown.');
}

/** What is pushed while a list is read again is not in the answer, and stays all the same. */
async function readAnew(page) {
  const list = panel(page, 'Secrets');
  const release = hold((name) => name === 'Secrets');
  await list.getByRole('button', { name: 'Refresh' }).click();
  await until('the answer is on its way', () => answers.waiting === 1);
  push('secretChanged', { cursor: 's0', path: 'prod.app.late', secret: secret('prod.app.late', 1) });
  await list.getByText('62 secrets shown.').waitFor();
  release();
  await list.locator('[aria-busy="false"]').waitFor();
  assert.equal(await list.getByRole('status').last().textContent(), '62 secrets shown.');
  await list.getByRole('button', { name: 'prod.app.late' }).waitFor();
}

async function pushed(page) {
  // the look at the beginning of a subscription is asked for before something is pushed that the server does not have
  await until('all lists have looked again', () => ['Secrets', 'Leases', 'AuditEvents'].every((name) => answers.given.get(name) >= 2));
  push('secretChanged', { cursor: 's1', path: 'prod.app.pushed', secret: secret('prod.app.pushed', 1) });
  await panel(page, 'Secrets').getByRole('button', { name: 'prod.app.pushed' }).waitFor();
  push('leaseChanged', { cursor: 'l1', leaseId: 'soon', lease: lease('soon', 10, null) });
  push('leaseChanged', { cursor: 'l2', leaseId: 'late', lease: lease('late', -3, 180) });
  const leases = panel(page, 'Leases');
  await leases.getByText('2 leases, 1 overdue.').waitFor();
  await leases.getByText('overdue by 3 min').waitFor();
  const order = await leases.getByRole('rowheader').allTextContents();
  assert.ok(order[0].includes('prod.db.late') && order[1].includes('prod.db.soon'), 'the one that ends first comes first');
  push('leaseChanged', { cursor: 'l3', leaseId: 'late', lease: { ...lease('late', -3, null), state: 'REVOKED' } });
  await leases.getByText('1 lease.').waitFor();
}

async function brokenConnection(page) {
  const before = wire.started.length;
  const { after } = follows('auditEventAdded').variables;
  assert.equal(typeof after, 'string', 'it begins after the end of the log as it was');
  const release = hold((name) => name === 'Seal');
  breakOff();
  await until('all four follow again', () => wire.started.length >= before + 4);
  assert.equal(follows('secretChanged').variables.after, 's1');
  assert.equal(follows('leaseChanged').variables.after, 'l3');
  assert.equal(follows('auditEventAdded').variables.after, after, 'nothing came, so it begins there again');
  push('secretChanged', { cursor: 's2', path: 'prod.app.pushed', secret: null });
  await panel(page, 'Secrets').getByRole('button', { name: 'prod.app.pushed' }).waitFor({ state: 'detached' });
  await until('the state of the seal is asked for', () => answers.waiting > 0);
  push('sealStatusChanged', { initialized: true, sealed: true, progress: 0, threshold: 2, shares: 3, sealType: 'shamir', clusterName: 'x', version: '0' });
  await page.getByRole('banner').getByText('Sealed', { exact: true }).waitFor();
  // what was asked before comes later, and is older
  const answered = answers.given.get('Seal') ?? 0;
  release();
  await until('it is answered', () => (answers.given.get('Seal') ?? 0) > answered);
  await page.waitForTimeout(300);
  await page.getByRole('banner').getByText('Sealed', { exact: true }).waitFor();
}

/** The server withdraws what it allowed. */
async function refusal(page) {
  const { id, socket } = follows('auditEventAdded');
  socket.send(JSON.stringify({ id, type: 'error', payload: [{ message: 'this token may no longer read the audit log', extensions: { code: 'FORBIDDEN' } }] }));
  await panel(page, 'Audit').getByText('This token may no longer read the audit log.').waitFor();
  await panel(page, 'Audit').getByText('Not live').waitFor();
}

async function withoutSocket(page) {
  wire.reachable = false;
  breakOff();
  const secrets = panel(page, 'Secrets');
  await secrets.getByText('No live connection: asks every 5 seconds.').waitFor();
  await secrets.getByRole('button', { name: 'Load more' }).click();
  await secrets.getByText('61 secrets shown.').waitFor();
  const before = answers.given.get('Secrets');
  await until('it asks again', () => answers.given.get('Secrets') > before);
  await secrets.locator('[aria-busy="false"]').waitFor();
  assert.equal(await secrets.getByRole('status').last().textContent(), '61 secrets shown.', 'what was loaded stays');
  wire.reachable = true;
  await until('it goes on after what came last', () => follows('secretChanged')?.variables.after === 's2');
  await secrets.getByText('Live', { exact: true }).waitFor();
}
