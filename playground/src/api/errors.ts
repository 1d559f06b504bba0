/** What a refusal says, in the server's own words where it has any. */
export class ApiError extends Error {
  readonly code: string;
  readonly requestId: string | undefined;

  constructor(code: string, message: string, requestId?: string) {
    super(message);
    this.name = 'ApiError';
    this.code = code;
    this.requestId = requestId;
  }
}

type Reported = { message?: unknown; extensions?: { code?: unknown; requestId?: unknown } | undefined };

/** The first of the errors of an answer. */
export function reported(errors: readonly unknown[]): ApiError {
  const first = errors[0] as Reported | undefined;
  const text = (value: unknown) => (typeof value === 'string' ? value : undefined);
  return new ApiError(
    text(first?.extensions?.code) ?? 'UNKNOWN',
    text(first?.message) ?? 'The server refused and did not say why.',
    text(first?.extensions?.requestId),
  );
}

export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError('NETWORK', 'The server does not answer: see whether it runs, and whether this browser still reaches it.');
}
