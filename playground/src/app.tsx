import { lazy, type MouseEvent, type ReactNode, Suspense, useEffect, useState } from 'react';
import { AuditPanel } from './panels/audit';
import { LeasesPanel } from './panels/leases';
import { SealPanel } from './panels/seal';
import { SecretsPanel } from './panels/secrets';
import { SealProvider, useSeal } from './panels/use-seal';
import { Login } from './session/login';
import { SessionProvider, useSession } from './session/session';
import { Boundary } from './ui/boundary';
import { Notice } from './ui/notice';
import { useTheme } from './ui/theme';
import { TopBar } from './ui/top-bar';

const Explorer = lazy(() => import('./explorer/explorer'));

const PAGES = [
  { id: 'explorer', name: 'Explorer' },
  { id: 'overview', name: 'Overview' },
  { id: 'seal', name: 'Seal' },
  { id: 'secrets', name: 'Secrets' },
  { id: 'leases', name: 'Leases' },
  { id: 'audit', name: 'Audit' },
] as const;
type PageId = (typeof PAGES)[number]['id'];

export function App() {
  return (
    <SessionProvider>
      <SealProvider>
        <Shell />
      </SealProvider>
    </SessionProvider>
  );
}

function Shell() {
  const { session } = useSession();
  const theme = useTheme();
  return (
    <>
      <a className="skip" href="#main" onClick={skip}>Skip to the content</a>
      <TopBar theme={theme.theme} onTheme={theme.choose} />
      {session ? <Pages theme={theme.shown} /> : <Entrance />}
    </>
  );
}

/** The address names the page that is shown, so the link moves the focus only. */
function skip(event: MouseEvent) {
  event.preventDefault();
  document.getElementById('main')?.focus();
}

/** What somebody sees who is not logged in: a sealed server can be unsealed here. */
function Entrance() {
  return (
    <main id="main" className="entrance" tabIndex={-1}>
      <Login />
      <SealPanel />
    </main>
  );
}

function Pages({ theme }: { theme: 'light' | 'dark' }) {
  const page = usePage();
  const { status } = useSeal();
  // the button that logged in is gone
  useEffect(() => document.getElementById('main')?.focus(), []);
  useEffect(() => {
    document.title = `${PAGES.find(({ id }) => id === page)?.name} · SecretHub`;
    return () => {
      document.title = 'SecretHub';
    };
  }, [page]);
  return (
    <div className="workplace">
      <nav aria-label="Parts of the page">
        <ul>
          {PAGES.map(({ id, name }) => (
            <li key={id}><a href={`#/${id}`} aria-current={page === id ? 'page' : undefined}><NavIcon id={id} />{name}</a></li>
          ))}
        </ul>
      </nav>
      <main id="main" tabIndex={-1} className={page === 'explorer' ? 'with-explorer' : undefined}>
        <h1 className="hidden">{PAGES.find(({ id }) => id === page)?.name}</h1>
        {status?.sealed && page !== 'seal' && page !== 'overview' && (
          <Notice tone="bad">The server is sealed and answers nothing but its seal. <a href="#/seal">Unseal it</a>.</Notice>
        )}
        {/* what was written in the explorer stays there while a panel is looked at */}
        <div className="explorer" hidden={page !== 'explorer'}>
          <Boundary name="The editor">
            <Suspense fallback={<p className="faint">Loading the editor…</p>}><Explorer theme={theme} /></Suspense>
          </Boundary>
        </div>
        {page === 'overview' && <div className="overview"><div><SealPanel /><SecretsPanel /></div><div><LeasesPanel /><AuditPanel /></div></div>}
        {page === 'seal' && <SealPanel />}
        {page === 'secrets' && <SecretsPanel />}
        {page === 'leases' && <LeasesPanel />}
        {page === 'audit' && <AuditPanel />}
      </main>
    </div>
  );
}

/** The page that the address names, such as #/audit. */
function usePage(): PageId {
  const [hash, setHash] = useState(() => window.location.hash);
  useEffect(() => {
    const changed = () => setHash(window.location.hash);
    window.addEventListener('hashchange', changed);
    return () => window.removeEventListener('hashchange', changed);
  }, []);
  return PAGES.find(({ id }) => hash === `#/${id}`)?.id ?? 'explorer';
}

const ICONS: Record<PageId, ReactNode> = {
  explorer: <path d="m8 8-4 4 4 4m8-8 4 4-4 4M13.5 5l-3 14" />,
  overview: <path d="M4 4h7v7H4zm9 0h7v4h-7zM13 10h7v10h-7zM4 13h7v7H4z" />,
  seal: <path d="M6 11h12v9H6zm2.5 0V8a3.5 3.5 0 0 1 7 0v3M12 14.5v2" />,
  secrets: <path d="M15.5 4a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9M12.3 11.7 4 20m2.5-2.5L9 20m.5-5.5L12 17" />,
  leases: <path d="M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16m0 4v4.5l3 2" />,
  audit: <path d="M6 4h9l3 3v13H6zm3 6h6m-6 4h6m-6 3h3" />,
};

function NavIcon({ id }: { id: PageId }) {
  return <svg viewBox="0 0 24 24" className="icon" aria-hidden="true">{ICONS[id]}</svg>;
}
