// A small client: one request, its typed answer, or an error with its code; and subscriptions, followed for as long as
// one likes.

import { createClient } from 'graphql-ws/client'
import { setTimeout as sleep } from 'node:timers/promises'
import WebSocket from 'ws'
import type { TypedDocumentString } from './gql/graphql.js'
import type { ErrorCode } from './gql/schema.js'

interface GraphqlError {
  message: string
  extensions?: { code?: ErrorCode; field?: string; requestId?: string; retryAfterSeconds?: number }
}

/** What the server refused. Programs decide by `code`; the message is for people. */
export class SecretHubError extends Error {
  readonly code: ErrorCode
  readonly field: string | undefined
  /** Finds the request in the server's log. */
  readonly requestId: string | undefined
  readonly retryAfterSeconds: number | undefined

  constructor({ message, extensions }: GraphqlError) {
    super(message)
    this.name = 'SecretHubError'
    this.code = extensions?.code ?? 'INTERNAL'
    this.field = extensions?.field
    this.requestId = extensions?.requestId
    this.retryAfterSeconds = extensions?.retryAfterSeconds
  }
}

/** What a subscription fails by for some time only. */
const PASSING = new Set<ErrorCode>(['SEALED', 'UNAVAILABLE', 'RATE_LIMITED'])
/** The server closes a socket with this when the token is not, or no longer, good. */
const FORBIDDEN = 4403
const LONGEST_WAIT_MS = 30_000

/** What ends a subscription for good, of what its socket reports; undefined for what passes. */
function finalRefusal(reported: unknown): Error | undefined {
  if (Array.isArray(reported)) {
    const refusal = new SecretHubError(reported[0] as GraphqlError)
    return PASSING.has(refusal.code) ? undefined : refusal
  }
  const closed = reported as { code?: number }
  if (closed.code !== FORBIDDEN) return undefined
  return new SecretHubError({ message: 'the token is no longer good', extensions: { code: 'UNAUTHENTICATED' } })
}

export class SecretHub {
  readonly #url: string
  #token: string | undefined

  constructor(address: string) {
    this.#url = new URL('/graphql', address).href
  }

  /** Sends this token from now on. */
  use(token: string): void {
    this.#token = token
  }

  async execute<Result, Variables>(document: TypedDocumentString<Result, Variables>, variables: Variables): Promise<Result> {
    const answer = await fetch(this.#url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/graphql-response+json',
        ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
      },
      body: JSON.stringify({ query: document, variables }),
      signal: AbortSignal.timeout(30_000),
    })
    const body = (await answer.json()) as { data?: Result | null; errors?: GraphqlError[] }
    const error = body.errors?.[0]
    if (error) throw new SecretHubError(error)
    if (body.data === undefined || body.data === null) throw new SecretHubError({ message: `an answer without data (${answer.status})` })
    return body.data
  }

  /**
   * Follows a subscription from behind a cursor. A broken connection, a server that starts again and one that is sealed are
   * waited for; then it goes on after the last event that came, so none is missed and none comes twice.
   */
  async *follow<Result, Variables extends { after?: string | null }>(
    document: TypedDocumentString<Result, Variables>,
    variables: Variables,
    cursorOf: (event: Result) => string,
  ): AsyncGenerator<Result, never> {
    let after = variables.after
    for (let failures = 0; ; failures += 1) {
      const socket = this.#socket()
      try {
        const events = socket.iterate<Result>({ query: document.toString(), variables: { ...variables, after } })
        for await (const { data, errors } of events) {
          if (errors?.[0]) throw errors
          if (!data) continue
          after = cursorOf(data)
          failures = 0
          yield data
        }
      } catch (reported) {
        const refusal = finalRefusal(reported)
        if (refusal) throw refusal
      } finally {
        await socket.dispose()
      }
      await sleep(Math.min(500 * 2 ** failures, LONGEST_WAIT_MS) * (0.5 + Math.random() / 2))
    }
  }

  #socket() {
    let silent: NodeJS.Timeout | undefined
    const client = createClient({
      url: this.#url.replace(/^http/, 'ws'),
      webSocketImpl: WebSocket,
      connectionParams: this.#token === undefined ? {} : { Authorization: `Bearer ${this.#token}` },
      // a repeated attempt must begin after another cursor than the first, which is done above
      retryAttempts: 0,
      // a connection that broke without a word gives no pong
      keepAlive: 20_000,
      on: {
        ping: (received) => {
          if (!received) silent = setTimeout(() => client.terminate(), 10_000)
        },
        pong: (received) => {
          if (received) clearTimeout(silent)
        },
        closed: () => clearTimeout(silent),
      },
    })
    return client
  }
}
