import { type RefObject, useEffect, useRef } from 'react';
import { MOST_SHOWN, type Shown } from '../panels/listing';

type ListEndProps = {
  pages: Shown<{ id: string }> & { more: () => void };
  /** How much is shown; read out when it changes. */
  summary: string;
  /** What the button for the next page says. */
  more: string;
  /** The paragraph with the summary, for who wants to put the focus there. */
  text?: RefObject<HTMLParagraphElement | null>;
};

/** What stands below a list: how much of it is shown, and a button for more. */
export function ListEnd({ pages, summary, more, text: given }: ListEndProps) {
  const own = useRef<HTMLParagraphElement>(null);
  const text = given ?? own;
  const button = useRef<HTMLButtonElement>(null);
  const clicked = useRef(false);

  // the button keeps the focus while it works; once there is no more, the focus goes to what says so instead of nowhere
  useEffect(() => {
    if (!clicked.current || pages.loadingMore) return;
    clicked.current = false;
    if (!button.current && document.activeElement === document.body) text.current?.focus();
  }, [pages.loadingMore, text]);

  const ask = () => {
    if (pages.loadingMore) return;
    clicked.current = true;
    pages.more();
  };
  const full = `A list here holds ${MOST_SHOWN} at most: search for less to see others.`;
  return (
    <>
      <p ref={text} tabIndex={-1} className="faint" role="status">{[summary, pages.full ? full : ''].join(' ').trim()}</p>
      {pages.hasMore && <button ref={button} type="button" aria-disabled={pages.loadingMore} onClick={ask}>{pages.loadingMore ? 'Loading…' : more}</button>}
    </>
  );
}
