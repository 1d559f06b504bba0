import { type FormEvent, useCallback, useMemo, useState } from 'react';
import { type ApiError, asApiError } from '../api/errors';
import { type AuditFields, AuditEvents, type AuditFilter, AuditTail, type AuditTailData, VerifyAudit, type VerifyAuditData } from '../api/operations';
import { useSession } from '../session/session';
import { ListEnd } from '../ui/list-end';
import { Notice, Refusal } from '../ui/notice';
import { Panel } from '../ui/panel';
import { Path } from '../ui/path';
import { Moment } from '../ui/time';
import { useLive } from './use-live';
import { usePages } from './use-pages';

const PAGE = 50;

/** The newest events of the audit log as they come, and a check of the whole chain. */
export function AuditPanel() {
  const { run } = useSession();
  const [filter, setFilter] = useState<AuditFilter>({});
  const [paused, setPaused] = useState(false);
  const verification = useVerification();

  const pages = usePages<AuditFields>(useCallback(async (after, first, signal) => {
    return (await run(AuditEvents, { filter, first, after }, signal)).auditEvents;
  }, [run, filter]), PAGE);
  const change = pages.change;
  const onEvent = useCallback(({ auditEventAdded: { node } }: AuditTailData) => {
    change((items, hasMore) => withEvent(items, node, hasMore));
  }, [change]);
  const following = useMemo(() => ({ filter }), [filter]);
  const live = useLive({ operation: AuditTail, filter: following, onData: onEvent, look: pages.look, active: !paused });

  return (
    <Panel
      title="Audit" live={live} pollingNote="Each look is an event itself."
      actions={(
        <>
          <button type="button" className="primary" disabled={verification.busy} onClick={verification.verify}>{verification.busy ? 'Verifying…' : 'Verify the chain'}</button>
          <button type="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>{paused ? 'Go on' : 'Pause'}</button>
          <button type="button" onClick={pages.reload}>Refresh</button>
        </>
      )}
    >
      {verification.result && <VerificationResult result={verification.result} />}
      <FilterForm onFilter={setFilter} />
      {(pages.error ?? live.refused) && <Refusal error={(pages.error ?? live.refused)!} />}
      <div className="table-box" aria-busy={pages.loading} tabIndex={0} role="region" aria-label="Audit events">
        <table>
          <thead><tr><th scope="col" className="number">No.</th><th scope="col">When</th><th scope="col">What</th><th scope="col">Who</th><th scope="col">About</th><th scope="col">Outcome</th></tr></thead>
          <tbody>{pages.items.map((event) => <EventRow key={event.id} event={event} />)}</tbody>
        </table>
      </div>
      <ListEnd pages={pages} summary={pages.items.length === 0 && !pages.loading && !pages.error ? 'No event meets this filter.' : ''} more="Load older events" />
    </Panel>
  );
}

/** The events, the newest first, with this one among them. Behind the last one there may be others yet to be loaded. */
function withEvent(items: AuditFields[], event: AuditFields, more: boolean): AuditFields[] {
  if (items.some((item) => item.id === event.id)) return items;
  const number = BigInt(event.sequenceNumber);
  const at = items.findIndex((item) => BigInt(item.sequenceNumber) < number);
  if (at < 0) return more ? items : [...items, event];
  return [...items.slice(0, at), event, ...items.slice(at)];
}

function EventRow({ event }: { event: AuditFields }) {
  const about = event.secretPath ?? event.roleName ?? event.leaseId ?? '—';
  return (
    <tr className={event.accessGranted === false ? 'refused' : undefined}>
      <td className="number faint">{event.sequenceNumber}</td>
      <td className="nowrap"><Moment at={event.timestamp} /></td>
      <th scope="row"><Path path={event.eventType} /></th>
      <td className="mono clip" title={event.actorId ?? undefined}>{event.actorId ?? event.actorType ?? '—'}{event.sourceIp && <div className="faint">{event.sourceIp}</div>}</td>
      <td className="about"><Path path={about} />{event.secretVersion !== null && <span className="faint"> v{event.secretVersion}</span>}</td>
      <td><Outcome event={event} /></td>
    </tr>
  );
}

function Outcome({ event }: { event: AuditFields }) {
  if (event.accessGranted === null) return <span className="faint">recorded</span>;
  if (event.accessGranted) return <><span className="good-text">granted</span>{event.policyMatched && <div className="faint">by {event.policyMatched}</div>}</>;
  return <><strong className="bad-text">refused</strong>{event.denialReason && <div className="faint">{event.denialReason}</div>}</>;
}

function FilterForm({ onFilter }: { onFilter: (filter: AuditFilter) => void }) {
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string) => String(form.get(name) ?? '').trim();
    const types = text('types').split(/[\s,]+/).filter((type) => type !== '');
    onFilter({
      ...(types.length > 0 ? { eventTypes: types } : {}),
      ...(text('actor') !== '' ? { actorId: text('actor') } : {}),
      ...(text('path') !== '' ? { secretPathPrefix: text('path') } : {}),
      ...(text('outcome') !== '' ? { accessGranted: text('outcome') === 'granted' } : {}),
    });
  };
  return (
    <form className="filters" role="search" aria-label="Audit events" onSubmit={submit}>
      <label>Event types<input name="types" className="mono" placeholder="secret.accessed" spellCheck={false} autoCapitalize="none" /></label>
      <label>Actor<input name="actor" className="mono" placeholder="role:web" spellCheck={false} autoCapitalize="none" /></label>
      <label>Path<input name="path" className="mono" placeholder="prod.app" spellCheck={false} autoCapitalize="none" /></label>
      <label>Outcome<select name="outcome"><option value="">any</option><option value="granted">granted</option><option value="refused">refused</option></select></label>
      <button type="submit">Filter</button>
    </form>
  );
}

type Result = VerifyAuditData['verifyAudit'] | ApiError;

function useVerification(): { busy: boolean; result: Result | null; verify: () => void } {
  const { run } = useSession();
  const [busy, setBusy] = useState(false);
  const [result, setResult] = useState<Result | null>(null);
  const verify = () => {
    setBusy(true);
    run(VerifyAudit, {})
      .then((data) => setResult(data.verifyAudit), (failure: unknown) => setResult(asApiError(failure)))
      .finally(() => setBusy(false));
  };
  return { busy, result, verify };
}

function VerificationResult({ result }: { result: Result }) {
  if (result instanceof Error) return <Refusal error={result} />;
  if (result.valid) {
    return <Notice tone="good">Unaltered: every hash, number and signature of {result.checked} events is right.</Notice>;
  }
  return <Notice tone="bad">Altered at event {result.firstBadSequence}: {result.problem}.</Notice>;
}
