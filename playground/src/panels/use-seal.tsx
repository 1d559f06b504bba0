import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useRef, useState } from 'react';
import { type ApiError, asApiError } from '../api/errors';
import { execute } from '../api/http';
import { Seal, SealChanges, type SealChangesData, type SealFields } from '../api/operations';
import { type Live, useLive } from './use-live';

type SealValue = { status: SealFields | null; error: ApiError | null; live: Live; set: (status: SealFields) => void };

const Context = createContext<SealValue | null>(null);
const NOTHING = {};
/** Without a session nothing pushes the state. */
const POLL_MS = 5_000;

export function useSeal(): SealValue {
  const value = useContext(Context);
  if (!value) throw new Error('useSeal outside of SealProvider');
  return value;
}

/** The seal's state for the whole page: asked without a token, and pushed while somebody is logged in. */
export function SealProvider({ children }: { children: ReactNode }) {
  const [status, setStatus] = useState<SealFields | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  // what was asked or told last, and the latest of it that is shown: what was asked before that may be answered later, and is older
  const asked = useRef({ last: 0, shown: 0 });
  const show = useCallback((next: SealFields) => {
    setStatus(next);
    setError(null);
  }, []);
  const set = useCallback((next: SealFields) => {
    asked.current.shown = ++asked.current.last;
    show(next);
  }, [show]);
  const ask = useCallback(() => {
    const now = asked.current;
    const mine = ++now.last;
    const unlessOlder = <Answer,>(then: (answer: Answer) => void) => (answer: Answer) => {
      if (mine < now.shown) return;
      now.shown = mine;
      then(answer);
    };
    execute(Seal, {}, null).then(
      unlessOlder((data) => show(data.sealStatus)),
      unlessOlder((failure: unknown) => setError(asApiError(failure))),
    );
  }, [show]);
  const onData = useCallback((data: SealChangesData) => set(data.sealStatusChanged), [set]);
  const live = useLive({ operation: SealChanges, filter: NOTHING, onData, look: ask, tellsState: true });

  useEffect(ask, [ask]);
  const pushed = live.liveness === 'live' || live.liveness === 'polling';
  useEffect(() => {
    if (pushed) return;
    const timer = window.setInterval(ask, POLL_MS);
    return () => window.clearInterval(timer);
  }, [pushed, ask]);

  const value = useMemo(() => ({ status, error, live, set }), [status, error, live, set]);
  return <Context value={value}>{children}</Context>;
}
