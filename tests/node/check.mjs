// What the scripts here share: a server's address and token, requests, and checks that name themselves.
import assert from 'node:assert/strict';

export const url = process.env.SECRETHUB_URL;
export const token = process.env.SECRETHUB_TOKEN;
export { assert };

export async function graphql(query, variables = {}, bearer = token) {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${bearer}` },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await answer.json();
  assert.equal(errors, undefined, JSON.stringify(errors));
  return data;
}

export const put = (path, data) =>
  graphql('mutation($input: PutSecretInput!) { putSecret(input: $input) { secret { version } } }', {
    input: { path, data },
  });

export const newest = async () => (await graphql('{ auditCheckpoint { cursor } }')).auditCheckpoint.cursor;

export async function createToken(input) {
  const made = await graphql('mutation($input: CreateTokenInput!) { createToken(input: $input) { token } }', { input });
  return made.createToken.token;
}

export const revoke = (which) =>
  graphql('mutation($token: String) { revokeToken(input: {token: $token}) { revoked } }', { token: which });

export const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// Fails instead of waiting for ever.
export function soon(promise, what, milliseconds = 20000) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`nothing came of it in time: ${what}`)), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// The next results of an async iterator.
export async function take(results, count, what) {
  const taken = [];
  while (taken.length < count) {
    const { value, done } = await soon(results.next(), what);
    assert.equal(done, false, `${what}: it ended early`);
    taken.push(value);
  }
  return taken;
}
