import { type FormEvent, useRef, useState } from 'react';
import { ApiError, asApiError } from '../api/errors';
import { execute } from '../api/http';
import { type SealFields, Unseal } from '../api/operations';
import { useSession } from '../session/session';
import { Notice, Refusal } from '../ui/notice';
import { Panel } from '../ui/panel';
import { useSeal } from './use-seal';

/** Whether the keys are in memory, how far an unsealing is, and a form for the next share. */
export function SealPanel() {
  const { status, error, live } = useSeal();
  const { session } = useSession();
  return (
    <Panel title="Seal" live={session ? live : undefined}>
      {error && <Refusal error={error} />}
      {!status && !error && <p className="faint">Asking the server…</p>}
      {status && <SealState status={status} />}
      {status?.initialized && status.sealed && <UnsealForm />}
    </Panel>
  );
}

function SealState({ status }: { status: SealFields }) {
  return (
    <>
      <p className="headline">
        <SealWord status={status} />
      </p>
      {!status.initialized && (
        <Notice tone="warning">
          This server has no keys yet. Initialise it with <code>secrethub operator init</code>, which prints the key
          shares and the first token once.
        </Notice>
      )}
      <dl className="facts">
        <div><dt>Cluster</dt><dd>{status.clusterName ?? '—'}</dd></div>
        <div><dt>Version</dt><dd>{status.version}</dd></div>
        <div><dt>Unsealed by</dt><dd>{unsealedBy(status)}</dd></div>
      </dl>
    </>
  );
}

export function SealWord({ status }: { status: SealFields }) {
  const [tone, word] = !status.initialized ? ['warning', 'Not initialised'] : status.sealed ? ['bad', 'Sealed'] : ['good', 'Unsealed'];
  return <span className={`seal-word ${tone}`}><span className="dot" aria-hidden="true" />{word}</span>;
}

function unsealedBy(status: SealFields): string {
  if (status.sealType === 'static') return 'itself, with a configured key';
  if (status.threshold === null) return '—';
  return `${status.threshold} of ${status.shares ?? '?'} key shares`;
}

function UnsealForm() {
  const { status, set } = useSeal();
  const input = useRef<HTMLInputElement>(null);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const given = status?.progress ?? 0;
  const needed = status?.threshold ?? 1;

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const field = input.current;
    if (!field) return;
    const share = field.value.trim();
    // a share stays in the page no longer than it takes to send it
    field.value = '';
    field.focus();
    if (share === '') return;
    setBusy(true);
    setError(null);
    try {
      set((await execute(Unseal, { share }, null)).unseal.status);
    } catch (failure) {
      setError(asApiError(failure));
    } finally {
      setBusy(false);
    }
  };

  return (
    <form className="stack" onSubmit={(event) => void submit(event)} autoComplete="off">
      <div className="progress">
        <label htmlFor="unseal-progress">{given} of {needed} shares given</label>
        <progress id="unseal-progress" value={given} max={needed} />
      </div>
      <label htmlFor="unseal-share">Key share</label>
      <div className="row">
        <input
          ref={input} id="unseal-share" type="password" autoComplete="off" spellCheck={false} required
          aria-describedby="unseal-hint"
        />
        <button type="submit" className="primary" disabled={busy}>{busy ? 'Sending…' : 'Give share'}</button>
      </div>
      <p id="unseal-hint" className="faint">Shares are sent to this server and kept nowhere. Each is given once, in any order.</p>
      <div aria-live="assertive">{error && <Refusal error={error} />}</div>
    </form>
  );
}
