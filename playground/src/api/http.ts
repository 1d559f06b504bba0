import { ApiError, asApiError, reported } from './errors';
import type { Operation } from './operation';

/** Where the API is: on the server that this page came from. */
export const ENDPOINT = new URL('/graphql', window.location.href).href;

const PATIENCE_MS = 60_000;

/** What a header can carry of a token, which is all that one is made of. Anything else was lost or changed on the way here. */
const SENDABLE = /^[\x21-\x7e]+$/;
const NO_TOKEN = 'This is no token: it has characters that none has, such as … or a typographic quote. Copy it again, whole.';

type Revival = { source?: string };
type RawNumbers = { rawJSON?: (text: string) => unknown };

/**
 * Reads JSON without losing digits: a number that a double cannot hold stays as it was written, where the browser can
 * do that. A secret must be shown as it is stored.
 */
export function parseExactly(text: string): unknown {
  const exact = (JSON as RawNumbers).rawJSON;
  if (!exact) return JSON.parse(text);
  const revive = (_key: string, value: unknown, context?: Revival) =>
    typeof value === 'number' && context?.source !== undefined && String(value) !== context.source
      ? exact(context.source)
      : value;
  return JSON.parse(text, revive as (key: string, value: unknown) => unknown);
}

/**
 * Sends a GraphQL request over HTTP; headers of the caller's own may be added. A token that no header takes is refused as the
 * server refuses one that it does not know.
 */
export async function post(body: string, token: string | null, init: RequestInit = {}): Promise<Response> {
  if (token !== null && !SENDABLE.test(token)) throw new ApiError('UNAUTHENTICATED', NO_TOKEN);
  const headers = new Headers(init.headers);
  headers.set('Content-Type', 'application/json');
  if (!headers.has('Accept')) headers.set('Accept', 'application/json');
  if (token !== null && !headers.has('Authorization')) headers.set('Authorization', `Bearer ${token}`);
  return fetch(ENDPOINT, {
    ...init,
    method: 'POST',
    headers,
    body,
    cache: 'no-store',
    credentials: 'same-origin',
    redirect: 'error',
    referrerPolicy: 'no-referrer',
  });
}

/** Runs an operation and gives its data, or throws an `ApiError`. */
export async function execute<Data, Variables>(
  operation: Operation<Data, Variables>,
  variables: Variables,
  token: string | null,
  signal?: AbortSignal,
): Promise<Data> {
  const late = AbortSignal.timeout(PATIENCE_MS);
  const body = JSON.stringify({ query: operation.text, variables, operationName: operation.name });
  let answer: { data?: Data | null; errors?: unknown[] };
  try {
    const response = await post(body, token, { signal: signal ? AbortSignal.any([signal, late]) : late });
    const text = await response.text();
    try {
      answer = parseExactly(text) as typeof answer;
    } catch {
      throw new ApiError('UNKNOWN', `The server answered with status ${response.status} and no GraphQL.`);
    }
  } catch (error) {
    if (signal?.aborted) throw error;
    throw asApiError(error);
  }
  if (answer.errors && answer.errors.length > 0) throw reported(answer.errors);
  if (!answer.data) throw new ApiError('UNKNOWN', 'The server answered with neither data nor an error.');
  return answer.data;
}
