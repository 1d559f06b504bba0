import { useEffect, useLayoutEffect, useState } from 'react';

export type Theme = 'system' | 'light' | 'dark';
const KEY = 'secrethub.theme';

function stored(): Theme {
  try {
    const value = window.localStorage.getItem(KEY);
    return value === 'light' || value === 'dark' ? value : 'system';
  } catch {
    return 'system';
  }
}

/** The theme that was chosen, and the one that is shown. The choice is all that this page keeps beyond the tab. */
export function useTheme(): { theme: Theme; shown: 'light' | 'dark'; choose: (theme: Theme) => void } {
  const [theme, setTheme] = useState(stored);
  const [systemDark, setSystemDark] = useState(() => window.matchMedia('(prefers-color-scheme: dark)').matches);
  useEffect(() => {
    const query = window.matchMedia('(prefers-color-scheme: dark)');
    const changed = () => setSystemDark(query.matches);
    query.addEventListener('change', changed);
    return () => query.removeEventListener('change', changed);
  }, []);
  const shown = theme === 'system' ? (systemDark ? 'dark' : 'light') : theme;
  // before anything is painted, or a dark page begins with a flash of light
  useLayoutEffect(() => {
    document.documentElement.dataset.theme = shown;
  }, [shown]);
  const choose = (chosen: Theme) => {
    setTheme(chosen);
    try {
      if (chosen === 'system') window.localStorage.removeItem(KEY);
      else window.localStorage.setItem(KEY, chosen);
    } catch {
      // then it holds until the page is closed
    }
  };
  return { theme, shown, choose };
}
