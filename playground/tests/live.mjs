// The panels on a socket that speaks graphql-transport-ws as the scenario wishes: what is pushed is shown, a broken
// connection is taken up after the last cursor, a refusal is read, and without a socket the panels ask.
import assert from 'node:assert/strict';
import { given, logIn, open, panel, scenario, until } from './harness.mjs';

/** What the page asked for, and the sockets that it asked on. */
const wire = { sockets: new Set(), started: [], reachable: true };

await scenario(async (page) => {
  await page.route('**/graphql', async (route) => {
    const asks = route.request().postData()?.includes('query LiveFields');
    if (asks) await route.fulfill({ json: { data: { __schema: { subscriptionType: { name: 'Subscription' } } } } });
    else await route.continue();
  });
  await page.routeWebSocket('**/graphql', (socket) => speak(socket));
  await page.reload();
  await logIn(page);
  await open(page, 'Overview');
  await until('all four follow', () => ['sealStatusChanged', 'secretChanged', 'leaseChanged', 'auditEventAdded'].every(follows));
  assert.equal(await page.getByText('Live', { exact: true }).count(), 4);

  await pushed(page);
  await brokenConnection(page);
  await refusal(page);
  await withoutSocket(page);
});

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
      wire.started.push({ field, id: message.id, socket, variables: message.payload.variables ?? {} });
    }
    if (message.type === 'ping') socket.send(JSON.stringify({ type: 'pong' }));
  });
}

/** The last subscription of a field that is on an open socket. */
function follows(field) {
  return wire.started.findLast((started) => started.field === field && wire.sockets.has(started.socket));
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

async function pushed(page) {
  // the look that follows the beginning of a subscription is over before something is pushed that the server does not have
  await page.waitForTimeout(1_500);
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
  breakOff();
  await until('all four follow again', () => wire.started.length >= before + 4);
  assert.equal(follows('secretChanged').variables.after, 's1');
  assert.equal(follows('leaseChanged').variables.after, 'l3');
  assert.equal(follows('auditEventAdded').variables.after, undefined, 'nothing came, so there is nothing to go on after');
  push('secretChanged', { cursor: 's2', path: 'prod.app.pushed', secret: null });
  await panel(page, 'Secrets').getByRole('button', { name: 'prod.app.pushed' }).waitFor({ state: 'detached' });
  push('sealStatusChanged', { initialized: true, sealed: true, progress: 0, threshold: 2, shares: 3, sealType: 'shamir', clusterName: 'x', version: '0' });
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
  await page.waitForRequest((request) => request.postData()?.includes('query Secrets') ?? false);
  wire.reachable = true;
  await secrets.getByText('Live', { exact: true }).waitFor();
  assert.equal(follows('secretChanged').variables.after, 's2');
}
