import { type FormEvent, useCallback, useMemo, useRef, useState } from 'react';
import { SecretChanges, type SecretChangesData, type SecretFields, Secrets } from '../api/operations';
import { useSession } from '../session/session';
import { ListEnd } from '../ui/list-end';
import { Refusal } from '../ui/notice';
import { Panel } from '../ui/panel';
import { Path } from '../ui/path';
import { Moment } from '../ui/time';
import { SecretDetail } from './secret';
import { useLive } from './use-live';
import { usePages } from './use-pages';

const PAGE = 50;

type Search = { prefix: string; search: string };

/** Secrets by prefix: what the caller may list. Values stay on the server until one is asked for. */
export function SecretsPanel() {
  const { run } = useSession();
  const [search, setSearch] = useState<Search>({ prefix: '', search: '' });
  const [opened, setOpened] = useState<string | null>(null);
  /** Whose button gets the focus back when the list is shown again. */
  const left = useRef<string | null>(null);
  const prefix = search.prefix === '' ? null : search.prefix;

  const pages = usePages<SecretFields>(useCallback(async (after, first, signal) => {
    const variables = { prefix, search: search.search === '' ? null : search.search, first, after };
    return (await run(Secrets, variables, signal)).secrets;
  }, [run, prefix, search.search]), PAGE);

  const [changed, setChanged] = useState<ReadonlyMap<string, number>>(new Map());
  const filter = useMemo(() => ({ prefix }), [prefix]);
  const onChange = useCallback(({ secretChanged: { path, secret } }: SecretChangesData) => {
    setChanged((before) => new Map(before).set(path, (before.get(path) ?? 0) + 1));
    const shown = secret !== null && matches(secret, search.search);
    pages.change((items, hasMore) => withSecret(items, path, shown ? secret : null, hasMore));
  }, [pages.change, search.search]);
  /** A look that was left out, since what it would have shown was not to be seen. */
  const missed = useRef(false);
  const look = () => {
    missed.current = opened !== null;
    if (opened === null) pages.look();
  };
  const live = useLive({ operation: SecretChanges, filter, onData: onChange, look });

  const close = () => {
    left.current = opened;
    setOpened(null);
    if (missed.current) pages.look();
    missed.current = false;
  };
  const focusAgain = (path: string) => (button: HTMLButtonElement | null) => {
    if (!button || left.current !== path) return;
    left.current = null;
    button.focus();
  };

  if (opened !== null) {
    return <SecretDetail key={opened} path={opened} changes={changed.get(opened) ?? 0} onClose={close} />;
  }
  return (
    <Panel title="Secrets" live={live} pollingNote="Each look is recorded." actions={<button type="button" onClick={pages.reload}>Refresh</button>}>
      <SearchForm search={search} onSearch={setSearch} />
      {(pages.error ?? live.refused) && <Refusal error={(pages.error ?? live.refused)!} />}
      <div aria-busy={pages.loading} className="table-box" tabIndex={0} role="region" aria-label="List of secrets">
        <table>
          <thead><tr><th scope="col">Path</th><th scope="col">Type</th><th scope="col" className="number">Version</th><th scope="col">Changed</th></tr></thead>
          <tbody>
            {pages.items.map((secret) => (
              <tr key={secret.id}>
                <th scope="row">
                  <button ref={focusAgain(secret.path)} type="button" className="link" onClick={() => setOpened(secret.path)}><Path path={secret.path} /></button>
                  {secret.description && <div className="faint">{secret.description}</div>}
                </th>
                <td>{secret.type === 'STATIC' ? 'static' : 'issued'}</td>
                <td className="number">{secret.version}</td>
                <td className="nowrap"><Moment at={secret.updatedAt} /></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <ListEnd pages={pages} summary={summary(pages.items.length, pages.loading, pages.error !== null, pages.hasMore || pages.full)} more="Load more" />
    </Panel>
  );
}

function SearchForm({ search, onSearch }: { search: Search; onSearch: (search: Search) => void }) {
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string) => String(form.get(name) ?? '').trim();
    onSearch({ prefix: text('prefix').replace(/\.?\*?$/, ''), search: text('search') });
  };
  return (
    <form className="filters" role="search" aria-label="Secrets" onSubmit={submit}>
      <label>Prefix<input name="prefix" className="mono" defaultValue={search.prefix} placeholder="prod.app" spellCheck={false} autoCapitalize="none" /></label>
      <label>Text in path or description<input name="search" defaultValue={search.search} /></label>
      <button type="submit">Search</button>
    </form>
  );
}

function summary(count: number, loading: boolean, failed: boolean, more: boolean): string {
  if (loading && count === 0) return 'Asking the server…';
  if (failed && count === 0) return '';
  if (count === 0) return 'No secret here that you may list.';
  return `${count} ${count === 1 ? 'secret' : 'secrets'} shown${more ? ', there are more' : ''}.`;
}

function matches(secret: SecretFields, text: string): boolean {
  const wanted = text.toLowerCase();
  return secret.path.toLowerCase().includes(wanted) || (secret.description ?? '').toLowerCase().includes(wanted);
}

/** The list with this secret in its place, or without it. Behind the last one there may be others yet to be loaded. */
function withSecret(items: SecretFields[], path: string, secret: SecretFields | null, more: boolean): SecretFields[] {
  const others = items.filter((item) => item.path !== path);
  if (secret === null) return others;
  const at = others.findIndex((item) => item.path > path);
  if (at < 0 && more) return others;
  return at < 0 ? [...others, secret] : [...others.slice(0, at), secret, ...others.slice(at)];
}
