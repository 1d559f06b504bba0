import './workers';
import '@graphiql/react/style.css';
import '@graphiql/plugin-doc-explorer/style.css';
import '@graphiql/plugin-history/style.css';
import 'graphiql/graphiql.css';
import './explorer.css';
import { HISTORY_PLUGIN } from '@graphiql/plugin-history';
import { useGraphiQL } from '@graphiql/react';
import type { Fetcher } from '@graphiql/toolkit';
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL } from 'graphiql';
import { type DocumentNode, parse } from 'graphql';
import { useEffect, useMemo, useState } from 'react';
import { ApiError, reported } from '../api/errors';
import { ENDPOINT, post } from '../api/http';
import { type Session, useSession } from '../session/session';
import { Notice, sentence } from '../ui/notice';
import { useEditorThemes } from './editor-theme';
import { EXAMPLES } from './examples';
import { EXAMPLES_PLUGIN } from './examples-plugin';
import { memoryStorage } from './memory-storage';

const PLUGINS = [EXAMPLES_PLUGIN, HISTORY_PLUGIN];
/** Those of the tour that are open from the start. */
const FIRST_TABS = EXAMPLES.filter((example) => example.group === 'Start')
  .map(({ query, variables }) => ({ query, variables }));
/** What the editor of variables takes for the schema's own scalars. */
const SCALARS = {
  JSON: { type: ['object', 'array', 'string', 'number', 'boolean', 'null'] as const },
  SecretPath: { type: 'string' as const },
  DateTime: { type: 'string' as const },
  BigInt: { type: 'string' as const },
};
/** How GraphiQL names its question for the schema. */
const INTROSPECTION = 'IntrospectionQuery';
const NO_SUBSCRIPTIONS = 'A subscription stays open, and this token is good for a counted number of requests: log in with another.';

/** GraphiQL with the caller's token, which it never sees. */
export default function Explorer({ theme }: { theme: 'light' | 'dark' }) {
  const { session } = useSession();
  const [storage] = useState(memoryStorage);
  const [unread, setUnread] = useState<ApiError | null>(null);
  /** Whether the schema may be asked for: of a counted number of requests somebody has to give one for it. */
  const [asked, setAsked] = useState(false);
  const fetcher = useMemo(() => (session ? fetcherFor(session, setUnread) : null), [session]);
  if (!session || !fetcher) return null;
  const waits = session.me.usesLeft !== null && !asked;
  const readSchema = () => {
    setAsked(true);
    // the button that was pressed goes with its notice
    document.getElementById('main')?.focus();
  };
  return (
    <>
      {waits && (
        <Notice tone="info">
          This token is good for a counted number of requests, so the schema is not read unasked, and there is neither
          completion nor documentation here. <button type="button" className="link" onClick={readSchema}>Read the schema with one request</button>
        </Notice>
      )}
      {unread && (
        <Notice tone="warning">
          The server does not show its schema, so there is neither completion nor documentation here. It
          says: {sentence(unread.message)} <code>{unread.code}</code>
        </Notice>
      )}
      <GraphiQL
        fetcher={fetcher}
        {...(waits ? { schema: null } : {})}
        storage={storage}
        plugins={PLUGINS}
        {...(window.innerWidth < 900 ? {} : { visiblePlugin: EXAMPLES_PLUGIN })}
        defaultTabs={FIRST_TABS}
        shouldPersistHeaders={false}
        showPersistHeadersSettings={false}
        defaultEditorToolsVisibility="variables"
        customScalarSchemas={SCALARS}
        inputValueDeprecation
        schemaDescription
        forcedTheme={theme}
        defaultTheme={theme}
      >
        <GraphiQL.Logo><></></GraphiQL.Logo>
        <Legible />
        <Announcement />
      </GraphiQL>
    </>
  );
}

/** The number of a last, empty line would be dimmed beyond reading, and the font that GraphiQL names is not shipped. */
const LEGIBLE = {
  wordWrap: 'on',
  renderFinalNewline: 'on',
  fontFamily: 'ui-monospace, "SF Mono", "Cascadia Code", Menlo, Consolas, "DejaVu Sans Mono", monospace',
} as const;

/** Long lines are wrapped, so that nothing has to be scrolled sideways to be read, and colours stand out from what is behind them. */
function Legible() {
  useEditorThemes();
  const { queryEditor, variableEditor, responseEditor } = useGraphiQL((state) => ({
    queryEditor: state.queryEditor,
    variableEditor: state.variableEditor,
    responseEditor: state.responseEditor,
  }));
  useEffect(() => {
    for (const editor of [queryEditor, variableEditor, responseEditor]) editor?.updateOptions(LEGIBLE);
  }, [queryEditor, variableEditor, responseEditor]);
  return null;
}

/** Tells a screen reader that there is an answer, and where. */
function Announcement() {
  const isFetching = useGraphiQL((state) => state.isFetching);
  const [ran, setRan] = useState(false);
  useEffect(() => {
    if (isFetching) setRan(true);
  }, [isFetching]);
  return <p className="hidden" role="status">{isFetching ? 'Running…' : ran ? 'The answer is in the result window.' : ''}</p>;
}

function fetcherFor(session: Session, onSchema: (refused: ApiError | null) => void): Fetcher {
  const send = createGraphiQLFetcher({
    url: ENDPOINT,
    enableIncrementalDelivery: false,
    fetch: (_url, init) => post(String(init?.body), session.token, init),
    ...(session.socket ? { wsClient: session.socket.client } : {}),
  });
  return (params, options) => {
    const { name, document } = operation(params.query, params.operationName);
    const subscribes = document?.definitions.some((definition) =>
      definition.kind === 'OperationDefinition' && definition.operation === 'subscription'
      && (name === undefined || definition.name?.value === name));
    if (subscribes && !session.socket) throw new ApiError('UNAVAILABLE', NO_SUBSCRIPTIONS);
    const answer = send(
      { ...params, ...(name === undefined ? { operationName: undefined } : { operationName: name }) } as typeof params,
      { ...options, ...(document ? { documentAST: document } : {}) },
    );
    if (name === INTROSPECTION) void refusalOf(answer).then(onSchema);
    return answer;
  };
}

/** What says nothing of the schema: a question that failed, and a server that is sealed, as is read elsewhere. */
const PASSING = new Set(['SEALED', 'UNAVAILABLE', 'RATE_LIMITED', 'UNAUTHENTICATED']);

/** Why the schema is not given, if it is not. */
async function refusalOf(answer: unknown): Promise<ApiError | null> {
  const { errors = [] } = await Promise.resolve(answer as { errors?: unknown[] }).catch(() => ({ errors: [] }));
  const refusal = errors.length > 0 ? reported(errors) : null;
  return refusal && !PASSING.has(refusal.code) ? refusal : null;
}

/** What is run. GraphiQL reads a text some time after it was put there, and until then names an operation of the last one. */
function operation(query: string, asked: string | null | undefined): { name: string | undefined; document: DocumentNode | undefined } {
  let document: DocumentNode;
  try {
    document = parse(query);
  } catch {
    return { name: asked ?? undefined, document: undefined }; // the server says what is wrong with it
  }
  const names = document.definitions.flatMap((definition) => (definition.kind === 'OperationDefinition' ? [definition.name?.value] : []));
  const name = names.includes(asked ?? undefined) ? asked : names.length === 1 ? names[0] : asked;
  return { name: name ?? undefined, document };
}
