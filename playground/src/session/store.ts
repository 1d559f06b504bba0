/** Where a token may stay across a reload of the page: in this tab only, and only if the person asked for it. */
const KEY = 'secrethub.token';

export function keptToken(): string | null {
  try {
    return window.sessionStorage.getItem(KEY);
  } catch {
    return null; // storage is switched off
  }
}

export function keepToken(token: string): void {
  try {
    window.sessionStorage.setItem(KEY, token);
  } catch {
    // then it stays in memory
  }
}

export function forgetToken(): void {
  try {
    window.sessionStorage.removeItem(KEY);
  } catch {
    // there was nothing to forget
  }
}
