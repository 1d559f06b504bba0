// The client of graphql-sse, in its distinct connections mode.
import { createClient } from 'graphql-sse';
import { assert, createToken, newest, put, revoke, sleep, soon, take, token, url } from './check.mjs';

const secretChanged = 'subscription($after: String) { secretChanged(after: $after) { cursor path } }';
const client = (bearer) =>
  createClient({ url, headers: { Authorization: `Bearer ${bearer}` }, retryAttempts: 0 });

const root = client(token);
const [me] = await take(root.iterate({ query: '{ me { displayName } }' }), 1, 'a query');
assert.ok(me.data.me.displayName);
const [wrong] = await take(root.iterate({ query: '{ nothing }' }), 1, 'a wrong document');
assert.equal(wrong.errors[0].extensions.code, 'BAD_USER_INPUT');

// across reconnects with the last cursor
let after = await newest();
const paths = [];
for (let round = 0; round < 3; round += 1) {
  const results = root.iterate({ query: secretChanged, variables: { after } });
  await put(`sse.r${round}`, { round });
  await put(`sse.s${round}`, { round });
  const [{ data }] = await take(results, 1, 'a change');
  paths.push(data.secretChanged.path);
  after = data.secretChanged.cursor;
  await results.return();
}
const rest = root.iterate({ query: secretChanged, variables: { after } });
for (const { data } of await take(rest, 3, 'what was not read before')) paths.push(data.secretChanged.path);
assert.deepEqual(paths, ['sse.r0', 'sse.s0', 'sse.r1', 'sse.s1', 'sse.r2', 'sse.s2']);
await rest.return();

// the end of a token: a result that says so, and the end
const short = await createToken({ policies: ['root'] });
const ended = client(short).iterate({ query: secretChanged });
const next = ended.next();
await sleep(1000);
await revoke(short);
const { value } = await soon(next, 'the end of the token');
assert.equal(value.errors[0].extensions.code, 'UNAUTHENTICATED');
assert.equal((await soon(ended.next(), 'complete')).done, true);

// what is refused before it begins
const [refused] = await take(client('nobody').iterate({ query: secretChanged }), 1, 'a refusal');
assert.equal(refused.errors[0].extensions.code, 'UNAUTHENTICATED');
console.log('graphql-sse: ok');
process.exit(0);
