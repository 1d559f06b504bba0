import type { ReactNode } from 'react';
import type { ApiError } from '../api/errors';

type Tone = 'info' | 'good' | 'warning' | 'bad';

/** A sentence that matters; bad ones are read out at once. */
export function Notice({ tone, children }: { tone: Tone; children: ReactNode }) {
  return (
    <div className={`notice ${tone}`} role={tone === 'bad' ? 'alert' : 'status'}>
      {children}
    </div>
  );
}

/** A refusal in the server's words, with what to name when asking somebody about it. */
export function Refusal({ error }: { error: ApiError }) {
  return (
    <Notice tone="bad">
      <span>{sentence(error.message)}</span> <code>{error.code}</code>
      {error.requestId && <span className="faint"> request {error.requestId}</span>}
    </Notice>
  );
}

export function sentence(message: string): string {
  const text = message.charAt(0).toUpperCase() + message.slice(1);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
