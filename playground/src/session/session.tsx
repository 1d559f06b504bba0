import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useRef, useState } from 'react';
import { ApiError, asApiError } from '../api/errors';
import { execute } from '../api/http';
import type { Operation } from '../api/operation';
import { type CallerFields, LoginWithAppRole, Me, RevokeOwnToken } from '../api/operations';
import { Socket } from '../api/socket';
import { forgetToken, keepToken, keptToken } from './store';

/** Somebody who is logged in. */
export type Session = {
  token: string;
  me: CallerFields;
  /** Null if the token is good for a counted number of requests: then nothing is asked unasked. */
  socket: Socket | null;
};

export type Credentials = { token: string } | { roleId: string; secretId: string };

type SessionValue = {
  session: Session | null;
  /** Whether a token kept by this tab is being tried. */
  resuming: boolean;
  /** Why the last session ended, for people. */
  notice: string | null;
  logIn: (credentials: Credentials, keep: boolean) => Promise<void>;
  logOut: (revoke: boolean) => Promise<void>;
  /** Runs an operation as whoever is logged in; a token that is no longer good ends the session. */
  run: <Data, Variables>(operation: Operation<Data, Variables>, variables: Variables, signal?: AbortSignal) => Promise<Data>;
};

const Context = createContext<SessionValue | null>(null);

/** What a timer of a browser can wait at most. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

const CLOCKS_APART_MS = 2_000;
const ENDED = 'Your token has ended. Log in again to go on.';

export function useSession(): SessionValue {
  const value = useContext(Context);
  if (!value) throw new Error('useSession outside of SessionProvider');
  return value;
}

async function open(token: string): Promise<Session> {
  const { me } = await execute(Me, {}, token);
  // each further request would use up one of those that are left
  return { token, me, socket: me.usesLeft === null ? new Socket(token) : null };
}

export function SessionProvider({ children }: { children: ReactNode }) {
  const [session, setSession] = useState<Session | null>(null);
  const [resuming, setResuming] = useState(() => keptToken() !== null);
  const [notice, setNotice] = useState<string | null>(null);
  const current = useRef<Session | null>(null);
  current.current = session;

  const end = useCallback((why: string | null) => {
    forgetToken();
    current.current = null; // a refusal that comes later is of a session that is over
    setNotice(why);
    setSession((before) => {
      before?.socket?.close();
      return null;
    });
  }, []);

  useEffect(() => {
    const kept = keptToken();
    if (kept === null) return;
    open(kept)
      .then(setSession, (error: unknown) => {
        const { code, message } = asApiError(error);
        // a sealed or unreachable server says nothing about the token
        if (code === 'UNAUTHENTICATED') forgetToken();
        setNotice(`The token that this tab kept was not taken: ${message}`);
      })
      .finally(() => setResuming(false));
  }, []);

  const run = useCallback<SessionValue['run']>(async (operation, variables, signal) => {
    const used = current.current;
    try {
      return await execute(operation, variables, used?.token ?? null, signal);
    } catch (error) {
      const ended = error instanceof ApiError && error.code === 'UNAUTHENTICATED' && used !== null;
      if (ended && current.current === used) end(isOver(used) ? ENDED : 'Your token is no longer good. Log in again to go on.');
      throw error;
    }
  }, [end]);

  // a token that was revoked elsewhere: asking shows it
  useEffect(() => session?.socket?.onRefusedToken(() => void run(Me, {}).catch(() => undefined)), [session, run]);
  useExpiry(session?.me.expiresAt ?? null, useCallback(() => end(ENDED), [end]));

  const logIn = useCallback(async (credentials: Credentials, keep: boolean) => {
    const given = 'token' in credentials ? credentials.token : await appRoleToken(credentials);
    const opened = await open(given);
    if (keep) keepToken(given);
    setNotice(null);
    setSession(opened);
  }, []);

  const logOut = useCallback(async (revoke: boolean) => {
    if (revoke && current.current !== null) await execute(RevokeOwnToken, {}, current.current.token);
    end(revoke ? 'You are logged out and your token is revoked.' : 'You are logged out.');
  }, [end]);

  const value = useMemo(
    () => ({ session, resuming, notice, logIn, logOut, run }),
    [session, resuming, notice, logIn, logOut, run],
  );
  return <Context value={value}>{children}</Context>;
}

/** By its time; the server's clock may be a little ahead. */
function isOver({ me }: Session): boolean {
  return me.expiresAt !== null && Date.parse(me.expiresAt) - Date.now() < CLOCKS_APART_MS;
}

async function appRoleToken(credentials: { roleId: string; secretId: string }): Promise<string> {
  const { loginWithAppRole } = await execute(
    LoginWithAppRole,
    { roleId: credentials.roleId, secretId: credentials.secretId === '' ? null : credentials.secretId },
    null,
  );
  if (loginWithAppRole.token === null) throw new ApiError('UNKNOWN', 'The server answered the login without a token.');
  return loginWithAppRole.token;
}

/** Calls `onEnd` when the moment has come, also one that is weeks away. */
function useExpiry(at: string | null, onEnd: () => void): void {
  useEffect(() => {
    if (at === null) return;
    let timer = 0;
    const wait = () => {
      const left = Date.parse(at) - Date.now();
      if (left <= 0) onEnd();
      else timer = window.setTimeout(wait, Math.min(left, LONGEST_TIMER_MS));
    };
    wait();
    return () => window.clearTimeout(timer);
  }, [at, onEnd]);
}
