import { useEffect, useState } from 'react';

/** The present moment, renewed every second while somebody looks. */
export function useNow(): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = window.setInterval(() => setNow(Date.now()), 1_000);
    return () => window.clearInterval(timer);
  }, []);
  return now;
}

const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });
const day = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });

/** A moment: its time today, its day before that, and all of it as a tooltip. */
export function Moment({ at }: { at: string }) {
  const date = new Date(at);
  const today = date.toDateString() === new Date().toDateString();
  return (
    <time dateTime={at} title={full.format(date)}>
      {today ? clock.format(date) : `${day.format(date)}, ${clock.format(date)}`}
    </time>
  );
}

/** A span of time in its two largest units, such as "2 h 5 min". */
export function span(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1_000));
  const units: [number, string][] = [[86_400, 'd'], [3_600, 'h'], [60, 'min'], [1, 's']];
  const at = units.findIndex(([size]) => seconds >= size);
  if (at < 0) return '0 s';
  const [size, name] = units[at] as [number, string];
  const whole = `${Math.floor(seconds / size)} ${name}`;
  const next = units[at + 1];
  const rest = next ? Math.floor((seconds % size) / next[0]) : 0;
  return next && rest > 0 ? `${whole} ${rest} ${next[1]}` : whole;
}
