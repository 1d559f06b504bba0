import { useEffect, useMemo, useSyncExternalStore } from 'react';
import { Listing, type Load, type Shown } from './listing';

export type Pages<Item extends { id: string }> = Shown<Item> & Pick<Listing<Item>, 'reload' | 'look' | 'more' | 'change'>;

/** A list that is read `page` items at a time. `load` must change when what is listed changes: then it starts over. */
export function usePages<Item extends { id: string }>(load: Load<Item>, page: number): Pages<Item> {
  const listing = useMemo(() => new Listing(load, page), [load, page]);
  const shown = useSyncExternalStore(listing.subscribe, listing.snapshot);
  useEffect(() => {
    listing.reload();
    return listing.stop;
  }, [listing]);
  const { reload, look, more, change } = listing;
  return { ...shown, reload, look, more, change };
}
