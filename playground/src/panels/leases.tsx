import { useCallback, useMemo, useRef, useState } from 'react';
import { type ApiError, asApiError } from '../api/errors';
import { LeaseChanges, type LeaseChangesData, type LeaseFields, Leases, RevokeLease } from '../api/operations';
import { useSession } from '../session/session';
import { Confirm } from '../ui/confirm';
import { ListEnd } from '../ui/list-end';
import { Refusal } from '../ui/notice';
import { Panel } from '../ui/panel';
import { Path } from '../ui/path';
import { span, useNow } from '../ui/time';
import type { Shown } from './listing';
import { useLive } from './use-live';
import { usePages } from './use-pages';

const PAGE = 100;
const HOUR_MS = 3_600_000;
const WINDOWS = [
  { hours: 1, name: 'the next hour' },
  { hours: 24, name: 'the next day' },
  { hours: 24 * 7, name: 'the next week' },
  { hours: 24 * 365 * 10, name: 'ever' },
];

/** Leases that end soon, the next one first, and those that should have ended. */
export function LeasesPanel() {
  const { run } = useSession();
  const [hours, setHours] = useState(24);
  const [revoking, setRevoking] = useState<LeaseFields | null>(null);
  const now = useNow();
  const end = useRef<HTMLParagraphElement>(null);

  const pages = usePages<LeaseFields>(useCallback(async (after, first, signal) => {
    const filter = { expiresBefore: new Date(Date.now() + hours * HOUR_MS).toISOString() };
    return (await run(Leases, { filter, first, after }, signal)).leases;
  }, [run, hours]), PAGE);
  const change = pages.change;
  const put = useCallback((id: string, lease: LeaseFields | null) => {
    const listed = lease !== null && lease.state !== 'REVOKED' && endOf(lease) < Date.now() + hours * HOUR_MS;
    change((items, hasMore) => withLease(items, id, listed ? lease : null, hasMore));
  }, [change, hours]);
  const filter = useMemo(() => ({}), []);
  const onChange = useCallback(({ leaseChanged }: LeaseChangesData) => put(leaseChanged.leaseId, leaseChanged.lease), [put]);
  const live = useLive({ operation: LeaseChanges, filter, onData: onChange, look: pages.look });

  const revoked = (lease: LeaseFields) => {
    put(lease.leaseId, lease);
    setRevoking(null);
    // the button that was pressed goes with its row; what is left is said here
    window.setTimeout(() => end.current?.focus());
  };

  const leases = pages.items;
  const overdue = leases.filter((lease) => isOverdue(lease, now)).length;
  return (
    <Panel title="Leases" live={live} pollingNote="Each look is recorded." actions={<button type="button" onClick={pages.reload}>Refresh</button>}>
      <div className="filters inline">
        <label>
          Ending within
          <select value={hours} onChange={(event) => setHours(Number(event.target.value))}>
            {WINDOWS.map((window) => <option key={window.hours} value={window.hours}>{window.name}</option>)}
          </select>
        </label>
      </div>
      {(pages.error ?? live.refused) && <Refusal error={(pages.error ?? live.refused)!} />}
      <div className="table-box" aria-busy={pages.loading} tabIndex={0} role="region" aria-label="List of leases">
        <table>
          <thead><tr><th scope="col">Path</th><th scope="col">Ends in</th><th scope="col">State</th><th scope="col"><span className="hidden">Actions</span></th></tr></thead>
          <tbody>
            {leases.map((lease) => <LeaseRow key={lease.leaseId} lease={lease} now={now} onRevoke={() => setRevoking(lease)} />)}
          </tbody>
        </table>
      </div>
      <ListEnd pages={pages} summary={summary(pages, overdue)} more="Load more" text={end} />
      {revoking && <RevokeDialog lease={revoking} onClose={() => setRevoking(null)} onRevoked={revoked} />}
    </Panel>
  );
}

function endOf(lease: LeaseFields): number {
  return Date.parse(lease.expiresAt);
}

/** The leases, the one that ends first before the others, with this one in its place, or without it. Behind the last one there may be others yet to be loaded. */
function withLease(items: LeaseFields[], id: string, lease: LeaseFields | null, more: boolean): LeaseFields[] {
  const others = items.filter((item) => item.leaseId !== id);
  if (lease === null) return others;
  const at = others.findIndex((item) => endOf(item) > endOf(lease));
  if (at < 0) return more ? others : [...others, lease];
  return [...others.slice(0, at), lease, ...others.slice(at)];
}

function isOverdue(lease: LeaseFields, now: number): boolean {
  return lease.state !== 'REVOKED' && (lease.overdueSeconds !== null || endOf(lease) < now);
}

function LeaseRow({ lease, now, onRevoke }: { lease: LeaseFields; now: number; onRevoke: () => void }) {
  const left = endOf(lease) - now;
  const overdue = isOverdue(lease, now);
  return (
    <tr className={overdue ? 'overdue' : undefined}>
      <th scope="row"><Path path={lease.path} /><div className="faint">{lease.engineType}, held by <span className="mono">{lease.actorId}</span></div></th>
      <td className="nowrap">{overdue ? <strong className="bad-text">overdue by {span(-left)}</strong> : span(left)}</td>
      <td>{lease.state.toLowerCase()}{lease.lastRevocationError && <div className="faint">{lease.lastRevocationError}</div>}</td>
      <td>{lease.state === 'REVOKING' ? null : <button type="button" className="danger small" onClick={onRevoke}>Revoke<span className="hidden"> the lease at {lease.path}</span></button>}</td>
    </tr>
  );
}

function RevokeDialog({ lease, onClose, onRevoked }: { lease: LeaseFields; onClose: () => void; onRevoked: (lease: LeaseFields) => void }) {
  const { run } = useSession();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const revoke = async () => {
    setBusy(true);
    setError(null);
    try {
      onRevoked((await run(RevokeLease, { leaseId: lease.leaseId })).revokeLease.lease);
    } catch (failure) {
      setError(asApiError(failure));
      setBusy(false);
    }
  };
  return (
    <Confirm title="Revoke this lease?" action="Revoke" busy={busy} onConfirm={() => void revoke()} onCancel={onClose}>
      <p>
        The credentials issued at <code>{lease.path}</code> to <code>{lease.actorId}</code> are removed from their target
        and stop working at once. This cannot be undone.
      </p>
      {error && <Refusal error={error} />}
    </Confirm>
  );
}

function summary({ items, loading, error, hasMore, full }: Shown<LeaseFields>, overdue: number): string {
  const count = items.length;
  if (loading && count === 0) return 'Asking the server…';
  if (error !== null && count === 0) return '';
  if (count === 0) return 'No lease that you may see ends in that time.';
  const late = overdue > 0 ? `, ${overdue} overdue` : '';
  return `${count} ${count === 1 ? 'lease' : 'leases'}${late}${hasMore || full ? ', there are more that end later' : ''}.`;
}
