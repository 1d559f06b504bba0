import { useEffect, useRef, useState } from 'react';
import type { ApiError } from '../api/errors';
import type { Operation } from '../api/operation';
import { Checkpoint } from '../api/operations';
import type { Liveness } from '../api/socket';
import { useSession } from '../session/session';

const POLL_MS = 5_000;

export type Live = { liveness: Liveness | 'off'; refused: ApiError | null };

export type Following<Data, Variables> = {
  operation: Operation<Data, Variables>;
  /** Must keep its identity while it says the same. */
  filter: Omit<Variables, 'after'>;
  onData: (data: Data) => void;
  /** Asks for what is shown. */
  look: () => void;
  active?: boolean;
  /** Whether the first thing told is how all of it is. Else what changed since a moment is told, and what was then is asked for. */
  tellsState?: boolean;
};

/**
 * Follows a subscription while the panel is shown. Where that is not possible, `look` is called every five seconds
 * instead, as long as the page is visible.
 */
export function useLive<Data, Variables extends Record<string, unknown>>(
  { operation, filter, onData, look, active = true, tellsState = false }: Following<Data, Variables>,
): Live {
  const { session, run } = useSession();
  const socket = session?.socket ?? null;
  const limited = session?.me.usesLeft !== null && session !== null;
  const [liveness, setLiveness] = useState<Liveness>(socket ? 'connecting' : 'polling');
  const [refused, setRefused] = useState<ApiError | null>(null);
  const latest = useRef({ onData, look });
  latest.current = { onData, look };

  useEffect(() => {
    setRefused(null);
    setLiveness(socket ? 'connecting' : 'polling');
    if (!socket || !active) return;
    const controller = new AbortController();
    let wasLive = false;
    let lost = false;
    const onLiveness = (next: Liveness) => {
      setLiveness(next);
      // a refusal that a look met meanwhile, such as that of a server that came back sealed, goes with the next one
      if (next === 'live' && lost) latest.current.look();
      lost = next === 'polling' || (next === 'connecting' && (wasLive || lost));
      wasLive = next === 'live';
    };
    const begin = async () => {
      const { auditCheckpoint } = await run(Checkpoint, {}, controller.signal);
      // what is asked for now is no older than that, and what happens from there on will be told
      if (!controller.signal.aborted) latest.current.look();
      return auditCheckpoint.cursor;
    };
    socket.follow(
      operation,
      (after) => ({ ...filter, ...(after === null ? {} : { after }) }) as Variables,
      { onData: (data) => latest.current.onData(data), onLiveness, onRefused: setRefused, ...(tellsState ? {} : { begin }) },
      controller.signal,
    );
    return () => controller.abort();
  }, [socket, run, operation, filter, active, tellsState]);

  const polls = liveness === 'polling' && active && !limited && refused === null;
  useEffect(() => {
    if (!polls) return;
    const timer = window.setInterval(() => {
      if (document.visibilityState === 'visible') latest.current.look();
    }, POLL_MS);
    return () => window.clearInterval(timer);
  }, [polls]);

  return { liveness: !active || limited || refused ? 'off' : liveness, refused };
}
