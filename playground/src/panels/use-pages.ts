import { useCallback, useEffect, useRef, useState } from 'react';
import { ApiError, asApiError } from '../api/errors';

export type Page<Item> = { nodes: Item[]; pageInfo: { hasNextPage: boolean; endCursor: string | null } };

export type Pages<Item> = {
  items: Item[];
  /** The last attempt's refusal. */
  error: ApiError | null;
  loading: boolean;
  hasMore: boolean;
  /** Asks for the first page again, and keeps what is shown until it is there. */
  reload: () => void;
  more: () => void;
  change: (update: (items: Item[]) => Item[]) => void;
};

/** What a list that grows by itself grows to. */
const MOST_SHOWN = 1_000;

type State<Item> = { items: Item[]; end: string | null; hasMore: boolean; error: ApiError | null; loading: boolean };

/**
 * A list that is read page by page. `load` must change when what is listed changes: then it starts over. An answer that
 * was overtaken by a later question is dropped.
 */
export function usePages<Item extends { id: string }>(load: (after: string | null, signal: AbortSignal) => Promise<Page<Item>>): Pages<Item> {
  const empty: State<Item> = { items: [], end: null, hasMore: false, error: null, loading: true };
  const [state, setState] = useState(empty);
  const asking = useRef<AbortController | null>(null);

  const ask = useCallback((after: string | null) => {
    asking.current?.abort();
    const controller = new AbortController();
    asking.current = controller;
    setState((before) => ({ ...before, loading: true }));
    load(after, controller.signal).then(
      (page) => {
        if (controller.signal.aborted) return;
        setState((before) => ({
          items: after === null ? page.nodes : joined(before.items, page.nodes),
          end: page.pageInfo.endCursor,
          hasMore: page.pageInfo.hasNextPage,
          error: null,
          loading: false,
        }));
      },
      (error: unknown) => {
        if (controller.signal.aborted) return;
        setState((before) => ({ ...before, error: asApiError(error), loading: false }));
      },
    );
  }, [load]);

  useEffect(() => {
    setState({ items: [], end: null, hasMore: false, error: null, loading: true });
    ask(null);
    return () => asking.current?.abort();
  }, [ask]);

  const reload = useCallback(() => ask(null), [ask]);
  const more = useCallback(() => ask(state.end), [ask, state.end]);
  const change = useCallback((update: (items: Item[]) => Item[]) => {
    setState((before) => ({ ...before, items: update(before.items).slice(0, MOST_SHOWN) }));
  }, []);
  return { items: state.items, error: state.error, loading: state.loading, hasMore: state.hasMore, reload, more, change };
}

/** Both, without what came by itself meanwhile. */
function joined<Item extends { id: string }>(items: Item[], next: Item[]): Item[] {
  const known = new Set(items.map(({ id }) => id));
  return [...items, ...next.filter(({ id }) => !known.has(id))];
}
