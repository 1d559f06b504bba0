import { useEffect, useRef, useState } from 'react';
import type { ApiError } from '../api/errors';
import type { Operation } from '../api/operation';
import type { Liveness } from '../api/socket';
import { useSession } from '../session/session';

const POLL_MS = 5_000;
/** The server has surely begun a subscription by then that was asked for when it connected. */
const BEGUN_MS = 500;

export type Live = { liveness: Liveness | 'off'; refused: ApiError | null };

/**
 * Follows a subscription while the panel is shown. Where that is not possible, `poll` is called every five seconds
 * instead, as long as the page is visible. `filter` must keep its identity while it says the same.
 */
export function useLive<Data, Variables extends Record<string, unknown>>(
  operation: Operation<Data, Variables>,
  filter: Omit<Variables, 'after'>,
  onData: (data: Data) => void,
  poll: () => void,
  active = true,
): Live {
  const { session } = useSession();
  const socket = session?.socket ?? null;
  const limited = session?.me.usesLeft !== null && session !== null;
  const [liveness, setLiveness] = useState<Liveness>(socket ? 'connecting' : 'polling');
  const [refused, setRefused] = useState<ApiError | null>(null);
  const latest = useRef({ onData, poll });
  latest.current = { onData, poll };

  useEffect(() => {
    setRefused(null);
    setLiveness(socket ? 'connecting' : 'polling');
    if (!socket || !active) return;
    const controller = new AbortController();
    const lookOnce = () => {
      window.setTimeout(() => {
        if (!controller.signal.aborted) latest.current.poll();
      }, BEGUN_MS);
    };
    let polled = false;
    const onLiveness = (next: Liveness) => {
      setLiveness(next);
      // a refusal that a look met meanwhile, such as that of a sealed server, goes with the next one
      if (next === 'live' && polled) lookOnce();
      polled = next === 'polling';
    };
    socket.follow(
      operation,
      (after) => ({ ...filter, ...(after === null ? {} : { after }) }) as Variables,
      { onData: (data) => latest.current.onData(data), onLiveness, onGap: lookOnce, onRefused: setRefused },
      controller.signal,
    );
    return () => controller.abort();
  }, [socket, operation, filter, active]);

  const polls = liveness === 'polling' && active && !limited && refused === null;
  useEffect(() => {
    if (!polls) return;
    const timer = window.setInterval(() => {
      if (document.visibilityState === 'visible') latest.current.poll();
    }, POLL_MS);
    return () => window.clearInterval(timer);
  }, [polls]);

  return { liveness: !active || limited || refused ? 'off' : liveness, refused };
}
