import { type ReactNode, useId, useLayoutEffect, useRef } from 'react';

type ConfirmProps = {
  title: string;
  /** What the button that does it says. */
  action: string;
  busy?: boolean;
  onConfirm: () => void;
  onCancel: () => void;
  children: ReactNode;
};

/** Asks before something that cannot be undone. The browser's own dialog keeps the focus inside and gives it back. */
export function Confirm({ title, action, busy = false, onConfirm, onCancel, children }: ConfirmProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  // before it is taken out of the page: one that is out gives no focus back
  useLayoutEffect(() => {
    const element = dialog.current;
    element?.showModal();
    return () => element?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      className="confirm"
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        onCancel();
      }}
    >
      <h2 id={heading}>{title}</h2>
      <div>{children}</div>
      <div className="buttons">
        <button type="button" onClick={onCancel}>Cancel</button>
        <button type="button" className="danger" disabled={busy} onClick={onConfirm}>{busy ? 'Working…' : action}</button>
      </div>
    </dialog>
  );
}
