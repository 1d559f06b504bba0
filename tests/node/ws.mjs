// The client of graphql-ws, whose author wrote the protocol, and the bare `ws` for what that client would never do.
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { assert, createToken, graphql, newest, put, revoke, sleep, soon, take, token, url } from './check.mjs';

const address = url.replace(/^http/, 'ws');
const secretChanged = 'subscription($after: String) { secretChanged(after: $after) { cursor path kind } }';

function client(bearer, options = {}) {
  return createClient({
    url: address,
    webSocketImpl: WebSocket,
    connectionParams: bearer && { Authorization: `Bearer ${bearer}` },
    retryAttempts: 0,
    ...options,
  });
}

// The code that a socket is closed with after these messages.
function code(messages, protocol = 'graphql-transport-ws') {
  return soon(
    new Promise((done, fail) => {
      const socket = new WebSocket(address, protocol);
      socket.on('open', () => messages.forEach((message) => socket.send(JSON.stringify(message))));
      socket.on('close', done);
      socket.on('error', fail);
    }),
    JSON.stringify(messages),
  );
}

const init = { type: 'connection_init', payload: { Authorization: `Bearer ${token}` } };
const subscribe = { type: 'subscribe', id: '1', payload: { query: 'subscription { sealStatusChanged { sealed } }' } };
assert.equal(await code([subscribe]), 4401, 'subscribe before ack');
assert.equal(await code([init, init]), 4429, 'second init');
assert.equal(await code([init, subscribe, subscribe]), 4409, 'duplicate id');
assert.equal(await code([{ type: 'connection_init', payload: { Authorization: 'Bearer nobody' } }]), 4403, 'rejected init');
assert.equal(await code([{ type: 'nonsense' }]), 4400, 'bad message');
assert.equal(await code([]), 4408, 'no init');

// queries and mutations
const plain = client(token);
const [me] = await take(plain.iterate({ query: '{ me { displayName } }' }), 1, 'a query');
assert.ok(me.data.me.displayName);
await assert.rejects(plain.iterate({ query: '{ nothing }' }).next(), (errors) => {
  assert.equal(errors[0].extensions.code, 'BAD_USER_INPUT');
  return true;
});

// a subscription, across a broken connection and a reconnect with the last cursor
let after = await newest();
const paths = [];
for (let round = 0; round < 3; round += 1) {
  const one = client(token);
  const results = one.iterate({ query: secretChanged, variables: { after } });
  await put(`ws.r${round}`, { round });
  await put(`ws.s${round}`, { round });
  const [{ data }] = await take(results, 1, 'a change');
  paths.push(data.secretChanged.path);
  after = data.secretChanged.cursor;
  one.terminate();
  await results.return().catch(() => 'it was broken off');
}
const rest = plain.iterate({ query: secretChanged, variables: { after } });
for (const { data } of await take(rest, 3, 'what was not read before')) paths.push(data.secretChanged.path);
assert.deepEqual(paths, ['ws.r0', 'ws.s0', 'ws.r1', 'ws.s1', 'ws.r2', 'ws.s2']);
await rest.return();

// a revoked token closes the socket at once; the client of its own accord comes back with a fresh one
const first = await createToken({ policies: ['root'] });
const second = await createToken({ policies: ['root'] });
const tokens = [first, second];
const closed = [];
const lasting = client(undefined, {
  connectionParams: () => ({ Authorization: `Bearer ${tokens.shift()}` }),
  retryAttempts: 3,
  retryWait: () => sleep(10),
  on: { closed: (event) => closed.push(event.code) },
});
const changes = lasting.iterate({ query: secretChanged });
const pending = changes.next();
await sleep(1000);
await revoke(first);
for (let tries = 0; closed.length === 0; tries += 1) {
  assert.ok(tries < 200, 'the socket is not closed');
  await sleep(25);
}
assert.deepEqual(closed, [4403]);
for (let number = 0, told = false; !told; number += 1) {
  assert.ok(number < 50, 'the client does not come back');
  await put('ws.fresh', { number });
  told = await Promise.race([pending.then(() => true), sleep(200).then(() => false)]);
}
assert.equal((await pending).value.data.secretChanged.path, 'ws.fresh');
assert.equal(tokens.length, 0);

// pings of the client are answered
const pinging = client(token, { keepAlive: 100, lazy: false });
await soon(new Promise((done) => pinging.on('pong', (received) => received && done())), 'a pong');

for (const each of [plain, lasting, pinging]) await each.dispose();
console.log('graphql-ws: ok');
process.exit(0);
