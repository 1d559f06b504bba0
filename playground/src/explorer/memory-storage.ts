import type { Storage as GraphiQLStorage } from '@graphiql/toolkit';

/**
 * What GraphiQL remembers: headers, variables and answers among it, which may be secrets. So it is kept in memory and
 * gone with the page.
 */
export function memoryStorage(): GraphiQLStorage {
  // of the width, a fifth for the tour and the documentation
  const items = new Map([['graphiql:docExplorerFlex', '0.25']]);
  return {
    get length() {
      return items.size;
    },
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
    clear: () => items.clear(),
  };
}
