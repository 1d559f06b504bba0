import { useState } from 'react';
import { type ApiError, asApiError } from '../api/errors';
import { SealWord } from '../panels/seal';
import { useSeal } from '../panels/use-seal';
import { type Session, useSession } from '../session/session';
import { Confirm } from './confirm';
import { Refusal } from './notice';
import type { Theme } from './theme';
import { span, useNow } from './time';

/** The product, the state of the seal, who is here, and the theme. */
export function TopBar({ theme, onTheme }: { theme: Theme; onTheme: (theme: Theme) => void }) {
  const { session } = useSession();
  const { status, error } = useSeal();
  return (
    <header className="top-bar">
      <span className="brand"><Mark />SecretHub</span>
      <span role="status" aria-label="Seal">
        {error ? <span className="seal-word bad"><span className="dot" aria-hidden="true" />No answer</span> : status && <SealWord status={status} />}
      </span>
      {status?.clusterName && <span className="faint cluster">{status.clusterName}</span>}
      <span className="spring" />
      {session && <Who session={session} />}
      <label className="theme">
        <span className="hidden">Theme</span>
        <select value={theme} onChange={(event) => onTheme(event.target.value as Theme)}>
          <option value="system">System theme</option>
          <option value="light">Light</option>
          <option value="dark">Dark</option>
        </select>
      </label>
    </header>
  );
}

function Mark() {
  return (
    <svg viewBox="0 0 32 32" className="mark" aria-hidden="true">
      <rect width="32" height="32" rx="8" />
      <circle cx="16" cy="13" r="4.5" />
      <path d="M16 17.5V26M16 22h4.5" />
    </svg>
  );
}

function Who({ session }: { session: Session }) {
  const { logOut } = useSession();
  const [asking, setAsking] = useState(false);
  return (
    <>
      <span className="who">
        <strong>{session.me.entity ?? session.me.displayName}</strong>
        <Expiry at={session.me.expiresAt} usesLeft={session.me.usesLeft} />
      </span>
      <button type="button" onClick={() => void logOut(false)}>Log out</button>
      <button type="button" onClick={() => setAsking(true)}>Revoke token</button>
      {asking && <RevokeDialog onClose={() => setAsking(false)} />}
    </>
  );
}

function Expiry({ at, usesLeft }: { at: string | null; usesLeft: number | null }) {
  const now = useNow();
  const uses = usesLeft === null ? '' : `, ${usesLeft} requests left at log-in: nothing is refreshed by itself`;
  if (at === null) return <span className="faint">no expiry{uses}</span>;
  return <span className="faint">ends in {span(Date.parse(at) - now)}{uses}</span>;
}

function RevokeDialog({ onClose }: { onClose: () => void }) {
  const { logOut } = useSession();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const revoke = () => {
    setBusy(true);
    logOut(true).catch((failure: unknown) => {
      setError(asApiError(failure));
      setBusy(false);
    });
  };
  return (
    <Confirm title="Revoke your token?" action="Revoke and log out" busy={busy} onConfirm={revoke} onCancel={onClose}>
      <p>This token, the tokens made with it and their leases end at once, wherever they are in use.</p>
      {error && <Refusal error={error} />}
    </Confirm>
  );
}
