import { type Client, createClient } from 'graphql-ws';
import { ApiError, reported } from './errors';
import { ENDPOINT } from './http';
import type { Operation } from './operation';

/** How a panel learns of changes. */
export type Liveness = 'connecting' | 'live' | 'polling';

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 30_000;
/** Without a connection for so many attempts, panels fall back to asking. */
const ATTEMPTS_BEFORE_POLLING = 2;
/** What the server says of a subscription that may work later. */
const PASSING = new Set(['SEALED', 'UNAVAILABLE', 'RATE_LIMITED', 'NETWORK', 'UNKNOWN']);

export type Follower<Data> = {
  onData: (data: Data) => void;
  onLiveness: (liveness: Liveness) => void;
  /** It is live, but what happened since the last look may have been missed: there was no cursor to go on after. */
  onGap: () => void;
  /** The server refuses for good: there will be no more data. */
  onRefused: (error: ApiError) => void;
};

/** One WebSocket by the protocol graphql-transport-ws, opened when somebody follows something. */
export class Socket {
  readonly client: Client;
  private connected = false;

  constructor(token: string | null) {
    const url = new URL(ENDPOINT);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    this.client = createClient({
      url: url.href,
      lazy: true,
      lazyCloseTimeout: 3_000,
      keepAlive: 20_000,
      retryAttempts: 0,
      connectionParams: token === null ? {} : { Authorization: `Bearer ${token}` },
      // errors reach each follower; nothing of them belongs on the console
      onNonLazyError: () => undefined,
      on: {
        connected: () => { this.connected = true; },
        closed: () => { this.connected = false; },
      },
    });
  }

  close(): void {
    void this.client.dispose();
  }

  /**
   * Follows a subscription across broken connections: each time it goes on after the last `cursor` that came, so that
   * nothing is missed and nothing comes twice. `variables` is asked again for each attempt.
   */
  follow<Data, Variables extends Record<string, unknown>>(
    operation: Operation<Data, Variables>,
    variables: (after: string | null) => Variables,
    follower: Follower<Data>,
    signal: AbortSignal,
  ): void {
    let after: string | null = null;
    let failures = 0;
    const attempt = (): void => {
      if (signal.aborted) return;
      follower.onLiveness(failures < ATTEMPTS_BEFORE_POLLING ? 'connecting' : 'polling');
      let refusal: ApiError | null = null;
      const lively = () => {
        failures = 0;
        follower.onLiveness('live');
        if (after === null) follower.onGap();
      };
      const stopListening = this.connected ? () => undefined : this.client.on('connected', lively);
      if (this.connected) lively();
      const unsubscribe = this.client.subscribe<Data>(
        { query: operation.text, operationName: operation.name, variables: variables(after) },
        {
          next: (answer) => {
            if (answer.errors && answer.errors.length > 0) {
              refusal = reported(answer.errors);
              return;
            }
            if (!answer.data) return;
            after = cursorOf(answer.data) ?? after;
            follower.onData(answer.data);
          },
          error: (error) => {
            if (Array.isArray(error)) refusal = reported(error);
            ended();
          },
          complete: () => ended(),
        },
      );
      signal.addEventListener('abort', unsubscribe, { once: true });
      const ended = () => {
        stopListening();
        signal.removeEventListener('abort', unsubscribe);
        if (signal.aborted) return;
        if (refusal && !PASSING.has(refusal.code)) {
          follower.onRefused(refusal);
          return;
        }
        failures += 1;
        follower.onLiveness(failures < ATTEMPTS_BEFORE_POLLING ? 'connecting' : 'polling');
        const wait = Math.min(FIRST_RETRY_MS * 2 ** failures, LAST_RETRY_MS) * (0.5 + Math.random() / 2);
        setTimeout(attempt, wait);
      };
    };
    attempt();
  }
}

/** The `cursor` of the one field of a subscription's answer. */
function cursorOf(data: unknown): string | null {
  for (const value of Object.values(data as Record<string, unknown>)) {
    if (value !== null && typeof value === 'object' && 'cursor' in value && typeof value.cursor === 'string') return value.cursor;
  }
  return null;
}
