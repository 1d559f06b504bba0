import { type Client, createClient } from 'graphql-ws';
import { type ApiError, asApiError, reported } from './errors';
import { ENDPOINT } from './http';
import type { Operation } from './operation';

/** How a panel learns of changes. */
export type Liveness = 'connecting' | 'live' | 'polling';

const PING_MS = 20_000;
/** A connection that broke without a word gives no pong. */
const PONG_MS = 10_000;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 30_000;
/** Without a connection for so many attempts, panels fall back to asking. */
const ATTEMPTS_BEFORE_POLLING = 2;
/** Closes a socket whose token is not good. */
const FORBIDDEN = 4403;
/** What the server says of a subscription that may work later. */
const PASSING = new Set(['SEALED', 'UNAVAILABLE', 'RATE_LIMITED', 'NETWORK', 'UNKNOWN']);

export type Follower<Data> = {
  onData: (data: Data) => void;
  onLiveness: (liveness: Liveness) => void;
  /** The server refuses for good: there will be no more data. */
  onRefused: (error: ApiError) => void;
  /** Gives the cursor to begin after, for subscriptions that have cursors. */
  begin?: () => Promise<string>;
};

/** One WebSocket by the protocol graphql-transport-ws, opened when somebody follows something. */
export class Socket {
  readonly client: Client;
  private connected = false;

  constructor(token: string | null) {
    const url = new URL(ENDPOINT);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    let silent = 0;
    this.client = createClient({
      url: url.href,
      lazy: true,
      lazyCloseTimeout: 3_000,
      keepAlive: PING_MS,
      retryAttempts: 0,
      connectionParams: token === null ? {} : { Authorization: `Bearer ${token}` },
      // errors reach each follower; nothing of them belongs on the console
      onNonLazyError: () => undefined,
      on: {
        connected: () => { this.connected = true; },
        closed: () => {
          this.connected = false;
          window.clearTimeout(silent);
        },
        ping: (received) => {
          if (!received) silent = window.setTimeout(() => this.client.terminate(), PONG_MS);
        },
        pong: (received) => {
          if (received) window.clearTimeout(silent);
        },
      },
    });
  }

  /** Calls back when the server closes the socket since the token is not, or no longer, good. */
  onRefusedToken(callback: () => void): () => void {
    return this.client.on('closed', (event) => {
      if ((event as CloseEvent).code === FORBIDDEN) callback();
    });
  }

  close(): void {
    // it waits for a connection that is being made; one that the server refuses rejects this as well
    void Promise.resolve(this.client.dispose()).catch(() => undefined);
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
    const waiting = (): Liveness => (failures < ATTEMPTS_BEFORE_POLLING ? 'connecting' : 'polling');
    const ended = (refusal: ApiError | null): void => {
      if (signal.aborted) return;
      if (refusal && !PASSING.has(refusal.code)) {
        follower.onRefused(refusal);
        return;
      }
      failures += 1;
      follower.onLiveness(waiting());
      const wait = Math.min(FIRST_RETRY_MS * 2 ** failures, LAST_RETRY_MS) * (0.5 + Math.random() / 2);
      setTimeout(attempt, wait);
    };
    const subscribe = (): void => {
      if (signal.aborted) return;
      const onLive = () => {
        failures = 0;
        follower.onLiveness('live');
      };
      const onData = (data: Data) => {
        after = cursorOf(data) ?? after;
        follower.onData(data);
      };
      this.attempt(operation, variables(after), { onLive, onData, onEnd: ended }, signal);
    };
    const attempt = (): void => {
      if (signal.aborted) return;
      follower.onLiveness(waiting());
      if (after !== null || !follower.begin) {
        subscribe();
        return;
      }
      follower.begin().then((cursor) => {
        after = cursor;
        subscribe();
      }, (error: unknown) => ended(asApiError(error)));
    };
    attempt();
  }

  /** Follows a subscription until its connection breaks, or the server ends it. */
  private attempt<Data, Variables extends Record<string, unknown>>(
    operation: Operation<Data, Variables>,
    variables: Variables,
    on: { onLive: () => void; onData: (data: Data) => void; onEnd: (refusal: ApiError | null) => void },
    signal: AbortSignal,
  ): void {
    let refusal: ApiError | null = null;
    const stopListening = this.connected ? () => undefined : this.client.on('connected', on.onLive);
    if (this.connected) on.onLive();
    const unsubscribe = this.client.subscribe<Data>(
      { query: operation.text, operationName: operation.name, variables },
      {
        next: ({ data, errors }) => {
          if (errors && errors.length > 0) refusal = reported(errors);
          else if (data) on.onData(data);
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
      on.onEnd(refusal);
    };
  }
}

/** The `cursor` of the one field of a subscription's answer. */
function cursorOf(data: unknown): string | null {
  for (const value of Object.values(data as Record<string, unknown>)) {
    if (value !== null && typeof value === 'object' && 'cursor' in value && typeof value.cursor === 'string') return value.cursor;
  }
  return null;
}
