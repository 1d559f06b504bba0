import { useCallback, useEffect, useRef, useState } from 'react';
import { type ApiError, asApiError } from '../api/errors';
import type { Json } from '../api/operation';
import { RevealSecret, SecretDetails, type SecretDetailsData } from '../api/operations';
import { useSession } from '../session/session';
import { Notice, Refusal } from '../ui/notice';
import { Panel } from '../ui/panel';
import { Moment, useNow } from '../ui/time';

type Secret = NonNullable<SecretDetailsData['secret']>;

/** How long a value stays on the screen. */
const SHOWN_MS = 30_000;

type SecretDetailProps = {
  path: string;
  /** How often it has changed since the page was opened: with each time it is asked for again. */
  changes: number;
  onClose: () => void;
};

/** One secret: what is known about it, its versions, and a version's value when it is asked for. */
export function SecretDetail({ path, changes, onClose }: SecretDetailProps) {
  const { run } = useSession();
  const [secret, setSecret] = useState<Secret | null | undefined>(undefined);
  const [error, setError] = useState<ApiError | null>(null);
  const back = useRef<HTMLButtonElement>(null);

  useEffect(() => back.current?.focus(), []);
  useEffect(() => {
    const controller = new AbortController();
    run(SecretDetails, { path }, controller.signal).then(
      (data) => {
        setSecret(data.secret);
        setError(null);
      },
      (failure: unknown) => {
        if (!controller.signal.aborted) setError(asApiError(failure));
      },
    );
    return () => controller.abort();
  }, [run, path, changes]);

  return (
    <Panel title={path} actions={<button ref={back} type="button" onClick={onClose}>Back to the list</button>}>
      {error && <Refusal error={error} />}
      {secret === undefined && !error && <p className="faint" role="status">Asking the server…</p>}
      {secret === null && <Notice tone="warning">There is no such secret, or you may not know of it.</Notice>}
      {secret && <Facts secret={secret} />}
      {secret && secret.type === 'STATIC' && <Versions secret={secret} />}
      {secret && secret.type !== 'STATIC' && (
        <Notice tone="info">Credentials are issued at this path, each with a lease. Try <code>issueCredentials</code> in the explorer.</Notice>
      )}
    </Panel>
  );
}

function Facts({ secret }: { secret: Secret }) {
  const labels = Object.entries(secret.metadata as Record<string, Json>);
  return (
    <dl className="facts">
      {secret.description && <div><dt>Description</dt><dd>{secret.description}</dd></div>}
      <div><dt>Version</dt><dd>{secret.version}, up to {secret.maxVersions} kept</dd></div>
      <div><dt>Made</dt><dd><Moment at={secret.createdAt} />{secret.createdBy && <> by <code>{secret.createdBy}</code></>}</dd></div>
      <div><dt>Changed</dt><dd><Moment at={secret.updatedAt} /></dd></div>
      {secret.rotation?.enabled && <div><dt>Rotates</dt><dd><code>{secret.rotation.schedule}</code>{secret.rotation.nextRotationAt && <>, next <Moment at={secret.rotation.nextRotationAt} /></>}</dd></div>}
      {labels.length > 0 && <div><dt>Labels</dt><dd>{labels.map(([name, value]) => <code key={name}>{name}={typeof value === 'string' ? value : JSON.stringify(value)}</code>)}</dd></div>}
    </dl>
  );
}

function Versions({ secret }: { secret: Secret }) {
  return (
    <>
      <h3>Versions</h3>
      <p className="faint" id="reveal-hint">Revealing a value reads it, and each read is recorded in the audit log under your name.</p>
      <ol className="versions">
        {secret.versions.nodes.map((version) => (
          <li key={version.version}>
            <div className="row spread">
              <span><strong>{version.version}</strong> <Moment at={version.createdAt} />{version.createdBy && <span className="faint"> by <code>{version.createdBy}</code></span>}</span>
              {version.destroyed && <span className="tag">destroyed</span>}
              {!version.destroyed && version.deletedAt !== null && <span className="tag">deleted</span>}
            </div>
            {!version.destroyed && version.deletedAt === null && <Value path={secret.path} version={version.version} />}
          </li>
        ))}
      </ol>
      {secret.versions.pageInfo.hasNextPage && <p className="faint">Older versions are in the explorer: <code>secret(path:) {'{ versions }'}</code>.</p>}
    </>
  );
}

type Shown = { text: string; until: number };

function Value({ path, version }: { path: string; version: number }) {
  const { run } = useSession();
  const [shown, setShown] = useState<Shown | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(false);
  const reveals = useRef<HTMLButtonElement>(null);
  const box = useRef<HTMLDivElement>(null);
  /** Whether the focus was on what has gone. */
  const focused = useRef(false);
  const hide = useCallback(() => {
    focused.current = box.current?.contains(document.activeElement) ?? false;
    setShown(null);
  }, []);
  useEffect(() => {
    if (!focused.current) return;
    focused.current = false;
    if (shown) box.current?.querySelector('pre')?.focus();
    else reveals.current?.focus();
  }, [shown]);

  const reveal = async () => {
    setBusy(true);
    setError(null);
    try {
      const { secret } = await run(RevealSecret, { path, version });
      focused.current = box.current?.contains(document.activeElement) ?? false;
      setShown({ text: JSON.stringify(secret?.data ?? null, null, 2), until: Date.now() + SHOWN_MS });
    } catch (failure) {
      setError(asApiError(failure));
    } finally {
      setBusy(false);
    }
  };

  return (
    <div className="value" aria-live="polite" ref={box}>
      {!shown && <button ref={reveals} type="button" aria-disabled={busy} aria-describedby="reveal-hint" onClick={() => (busy ? undefined : void reveal())}>{busy ? 'Reading…' : 'Reveal'}<span className="hidden"> version {version}</span></button>}
      {error && <Refusal error={error} />}
      {shown && <ShownValue shown={shown} onHide={hide} />}
    </div>
  );
}

function ShownValue({ shown, onHide }: { shown: Shown; onHide: () => void }) {
  const left = shown.until - useNow();
  const [copied, setCopied] = useState<string | null>(null);
  useEffect(() => {
    const timer = window.setTimeout(onHide, Math.max(0, shown.until - Date.now()));
    return () => window.clearTimeout(timer);
  }, [shown, onHide]);
  const copy = () => {
    // without TLS, browsers lend the clipboard to pages of this machine only
    const copying = navigator.clipboard?.writeText(shown.text) ?? Promise.reject(new Error('no clipboard'));
    copying.then(() => setCopied('Copied'), () => setCopied('Not copied: the browser refuses'));
  };
  return (
    <>
      <pre tabIndex={0} aria-label="Value">{shown.text}</pre>
      <div className="row">
        <button type="button" onClick={onHide}>Hide</button>
        <button type="button" onClick={copy}>{copied ?? 'Copy'}</button>
        <span className="faint" aria-live="off">hides itself in {Math.max(0, Math.ceil(left / 1_000))} s</span>
      </div>
    </>
  );
}
