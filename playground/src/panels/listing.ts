import { ApiError, asApiError } from '../api/errors';

export type Page<Item> = { nodes: Item[]; pageInfo: { hasNextPage: boolean; endCursor: string | null } };

/** Asks for the `first` items behind a cursor. */
export type Load<Item> = (after: string | null, first: number, signal: AbortSignal) => Promise<Page<Item>>;

/** How a list is altered by something that came by itself; `hasMore` says whether there are others behind the last one. */
export type Update<Item> = (items: Item[], hasMore: boolean) => Item[];

export type Shown<Item> = {
  items: Item[];
  /** The last attempt's refusal. */
  error: ApiError | null;
  loading: boolean;
  /** Whether a person waits for a further page. */
  loadingMore: boolean;
  hasMore: boolean;
  /** There are more than a list here holds. */
  full: boolean;
};

/** What a list grows to. */
export const MOST_SHOWN = 1_000;
/** The largest page that the server gives. */
const LARGEST_PAGE = 100;
/** Of one reading: pages may come with fewer items than were asked for. */
const MOST_PAGES = 40;
/** Changes kept to be made again behind a reading. With more of them it is read once more instead. */
const MOST_CHANGES = 1_000;

type PageInfo = Page<unknown>['pageInfo'];
type Reading<Item> = { controller: AbortController; fresh: boolean; changes: Update<Item>[]; missed: boolean };

const START: PageInfo = { hasNextPage: true, endCursor: null };

/**
 * A list that is read page by page, kept while it is read again, and changed by what is pushed. Whatever happens at once,
 * as many items as somebody asked for are read, and what was pushed meanwhile is made again on what was read: an answer
 * may have been given before it.
 */
export class Listing<Item extends { id: string }> {
  private shown: Shown<Item> = { items: [], error: null, loading: true, loadingMore: false, hasMore: false, full: false };
  private info: PageInfo = { hasNextPage: false, endCursor: null };
  /** Items that somebody asked for. */
  private asked: number;
  private reading: Reading<Item> | null = null;
  private again = false;
  private cut = false;
  private readonly observers = new Set<() => void>();
  private readonly load: Load<Item>;
  private readonly page: number;

  constructor(load: Load<Item>, page: number) {
    this.load = load;
    this.page = page;
    this.asked = page;
  }

  readonly subscribe = (observer: () => void): (() => void) => {
    this.observers.add(observer);
    return () => this.observers.delete(observer);
  };

  readonly snapshot = (): Shown<Item> => this.shown;

  /** Reads again what is shown, and overtakes whatever is being read. */
  readonly reload = (): void => void this.read(true);

  /** The same, behind a reading that is under way: one that is slower than looks are frequent comes to its end. */
  readonly look = (): void => {
    if (this.reading?.fresh) this.again = true;
    else this.reload();
  };

  readonly more = (): void => {
    if (!this.shown.hasMore) return;
    this.asked = Math.min(this.shown.items.length + this.page, MOST_SHOWN);
    this.put({ loadingMore: true });
    if (!this.reading) void this.read(false); // else what is being read goes on until there are as many
  };

  readonly change = (update: Update<Item>): void => {
    const reading = this.reading;
    if (reading) {
      reading.missed ||= reading.changes.length >= MOST_CHANGES;
      if (!reading.missed) reading.changes.push(update);
    }
    this.put(this.bounded(update(this.shown.items, this.info.hasNextPage)));
  };

  readonly stop = (): void => {
    this.reading?.controller.abort();
    this.reading = null;
  };

  /** Of a reading that is overtaken or stopped nothing is seen. */
  private async read(fresh: boolean): Promise<void> {
    this.stop();
    this.again = false;
    const reading: Reading<Item> = { controller: new AbortController(), fresh, changes: [], missed: false };
    this.reading = reading;
    if (fresh) this.asked = Math.min(Math.max(this.asked, this.shown.items.length), MOST_SHOWN);
    let result: Partial<Shown<Item>>;
    const before = fresh ? { items: [], info: START } : { items: this.shown.items, info: this.info };
    this.put({ loading: true });
    try {
      const { items, info } = await this.pages(before, reading.controller.signal);
      if (reading.controller.signal.aborted) return;
      this.info = info;
      if (fresh) this.cut = false;
      const changed = reading.changes.reduce((list, update) => update(list, info.hasNextPage), items);
      result = { ...this.bounded(changed), error: null };
    } catch (error) {
      if (reading.controller.signal.aborted) return;
      result = { error: asApiError(error) };
    }
    this.reading = null;
    this.put({ ...result, loading: false, loadingMore: false });
    if (this.again || reading.missed) this.reload();
  }

  private async pages(before: { items: Item[]; info: PageInfo }, signal: AbortSignal): Promise<{ items: Item[]; info: PageInfo }> {
    let { items, info } = before;
    for (let pages = 0; pages < MOST_PAGES && info.hasNextPage && items.length < this.asked; pages += 1) {
      const page = await this.load(info.endCursor, Math.min(this.asked - items.length, LARGEST_PAGE), signal);
      items = joined(items, page.nodes);
      info = page.pageInfo;
    }
    return { items, info };
  }

  /** What is cut off at the end leaves a gap before the next page, so then there is none until all is read again. */
  private bounded(items: Item[]): Pick<Shown<Item>, 'items' | 'hasMore' | 'full'> {
    this.cut ||= items.length > MOST_SHOWN;
    const full = this.cut || (this.info.hasNextPage && items.length === MOST_SHOWN);
    return { items: items.slice(0, MOST_SHOWN), hasMore: this.info.hasNextPage && !full, full };
  }

  private put(next: Partial<Shown<Item>>): void {
    this.shown = { ...this.shown, ...next };
    for (const observer of this.observers) observer();
  }
}

/** Both, without what came by itself meanwhile. */
function joined<Item extends { id: string }>(items: Item[], next: Item[]): Item[] {
  const known = new Set(items.map(({ id }) => id));
  return [...items, ...next.filter(({ id }) => !known.has(id))];
}
