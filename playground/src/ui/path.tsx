import { Fragment } from 'react';

/** A path of a secret, which breaks after its dots rather than within a word. */
export function Path({ path }: { path: string }) {
  return (
    <span className="mono">
      {path.split('.').map((segment, index) => (
        // the place of a segment is what it is known by
        <Fragment key={index}>{index > 0 && <>.<wbr /></>}{segment}</Fragment>
      ))}
    </span>
  );
}
