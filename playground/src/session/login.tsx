import { type FormEvent, useState } from 'react';
import { type ApiError, asApiError } from '../api/errors';
import { Notice, Refusal } from '../ui/notice';
import { type Credentials, useSession } from './session';

type Way = 'token' | 'approle';

/** Logging in by a token or by RoleID and SecretID. Neither is kept anywhere unless this tab is asked to keep the token. */
export function Login() {
  const { logIn, notice, resuming } = useSession();
  const [way, setWay] = useState<Way>('token');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string) => String(form.get(name) ?? '').trim();
    const credentials: Credentials = way === 'token' ? { token: text('token') } : { roleId: text('roleId'), secretId: text('secretId') };
    setBusy(true);
    setError(null);
    try {
      await logIn(credentials, form.get('keep') !== null);
    } catch (failure) {
      setError(asApiError(failure));
      setBusy(false);
    }
  };

  return (
    <section className="panel login" aria-labelledby="login-title">
      <header className="panel-head"><h1 id="login-title">Log in</h1></header>
      <form className="panel-body stack" onSubmit={(event) => void submit(event)} autoComplete="off">
        {notice && <Notice tone="info">{notice}</Notice>}
        <fieldset className="choice">
          <legend className="hidden">How to log in</legend>
          <label><input type="radio" name="way" checked={way === 'token'} onChange={() => setWay('token')} /><span>Token</span></label>
          <label><input type="radio" name="way" checked={way === 'approle'} onChange={() => setWay('approle')} /><span>AppRole</span></label>
        </fieldset>
        {way === 'token' ? (
          <label>Token<input key="token" name="token" type="password" required autoFocus autoComplete="off" spellCheck={false} className="mono" /></label>
        ) : (
          <>
            <label>RoleID<input key="roleId" name="roleId" required autoFocus autoComplete="off" spellCheck={false} className="mono" /></label>
            <label>SecretID<input key="secretId" name="secretId" type="password" autoComplete="off" spellCheck={false} className="mono" /></label>
          </>
        )}
        <label className="check"><input type="checkbox" name="keep" /> Keep me logged in when this tab is reloaded</label>
        <button type="submit" className="primary" disabled={busy || resuming}>{busy || resuming ? 'Logging in…' : 'Log in'}</button>
        <div aria-live="assertive">{error && <Refusal error={error} />}</div>
        <p className="faint">The token stays in this page's memory. <code>secrethub dev</code> prints one when it starts.</p>
        <p className="faint"><a href="./licenses.txt">Licences of what this page is made with</a></p>
      </form>
    </section>
  );
}
