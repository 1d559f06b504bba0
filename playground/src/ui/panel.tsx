import { type ReactNode, useId } from 'react';
import type { Live } from '../panels/use-live';

type PanelProps = {
  title: string;
  live?: Live | undefined;
  /** What polling costs, if it is not nothing. */
  pollingNote?: string;
  actions?: ReactNode;
  children: ReactNode;
};

/** A part of the page with its heading, and whether it moves by itself. */
export function Panel({ title, live, pollingNote, actions, children }: PanelProps) {
  const heading = useId();
  return (
    <section className="panel" aria-labelledby={heading}>
      <header className="panel-head">
        <h2 id={heading}>{title}</h2>
        {live && <LiveBadge live={live} />}
        <div className="panel-actions">{actions}</div>
      </header>
      {live?.liveness === 'polling' && (
        <p className="polling-note">
          No live connection: asks every 5 seconds.{pollingNote ? ` ${pollingNote}` : ''}
        </p>
      )}
      <div className="panel-body">{children}</div>
    </section>
  );
}

const LABELS = { live: 'Live', connecting: 'Connecting', polling: 'Every 5 s', off: 'Not live' } as const;

function LiveBadge({ live }: { live: Live }) {
  return (
    <span className={`live ${live.liveness}`} role="status">
      <span className="dot" aria-hidden="true" />
      {LABELS[live.liveness]}
    </span>
  );
}
