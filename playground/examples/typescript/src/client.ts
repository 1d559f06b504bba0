// A small client: one request, its typed answer, or an error with its code.

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
}
