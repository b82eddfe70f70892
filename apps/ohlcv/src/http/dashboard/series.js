// What is loaded of a series for a view: candles of an interval that suits it, and the holes among them.

import { get, ofAsset, pages, url } from './api.js';
import { iso, lengthOf, madeOf, step } from './time.js';

/** At most so many candles are drawn: those in view, and one view to either side. */
export const CANDLES_DRAWN_MAX = 1500;
const CANDLES_SEEN_MAX = CANDLES_DRAWN_MAX / 3;
/** A candle in view is at least so wide, in pixels. */
const CANDLE_PX_MIN = 3;
/** A view is at least so many stored candles long. */
export const CANDLES_SEEN_MIN = 8;
const HOLES_OF_A_PAGE = 2000;
/** More holes than on so many pages are not drawn, which is told. */
const HOLE_PAGES_MAX = 5;
/** An answer may have fewer rows than wanted; then the rest is asked for. */
const PAGES_MAX = 40;

/** The finest interval of which a view is not too full; else the coarsest. */
export function intervalFor(stored, from, to, px) {
  const most = Math.min(CANDLES_SEEN_MAX, px / CANDLE_PX_MIN);
  const made = madeOf(stored);
  return made.find((interval) => (to - from) / lengthOf(interval) <= most) ?? made.at(-1);
}

/** The interval that is stored, which the list of holes tells. */
export async function storedInterval(asset, signal) {
  return (await get(url(`/api/v1/assets/${ofAsset(asset)}/gaps`, { limit: 1 }), { signal })).interval;
}

/** The hole nearest to a view on one side of it, if there is one. One that reaches over the middle of the view is where it is already. */
export async function holeBeside(asset, view, forward) {
  const side = forward ? { start: iso(Math.ceil(view.to)) } : { end: iso(Math.floor(view.from)) };
  const middle = (view.from + view.to) / 2;
  const { gaps } = await get(url(`/api/v1/assets/${ofAsset(asset)}/gaps`, { ...side, limit: 2 }));
  const beside = forward ? gaps.find((hole) => Date.parse(hole.start) > middle) : gaps.findLast((hole) => Date.parse(hole.end) < middle);
  return beside ?? null;
}

/** Everything between two times, and a view more on either side. */
export async function load({ asset, stored, from, to, px, bounds }, signal) {
  const interval = intervalFor(stored, from, to, px);
  const length = lengthOf(interval);
  const more = to - from;
  // Rounded, so that small moves ask for the same.
  const start = Math.max(Math.floor((from - more) / length) * length, bounds.from - length);
  const end = Math.min(Math.ceil((to + more) / length) * length, bounds.to + length);
  const range = { start: iso(start), end: iso(Math.max(end, start + length)) };
  const candles = {
    ...range, format: 'columns', fill: true, limit: CANDLES_DRAWN_MAX,
    ...(interval === stored ? {} : { interval }),
  };
  const [answers, listed] = await Promise.all([
    pages(url(`/api/v1/ohlcv/${ofAsset(asset)}`, candles), PAGES_MAX, signal),
    pages(url(`/api/v1/assets/${ofAsset(asset)}/gaps`, { ...range, limit: HOLES_OF_A_PAGE }), HOLE_PAGES_MAX, signal),
  ]);
  const rows = answers.found.flatMap(({ data }) => rowsOf(data)).slice(0, CANDLES_DRAWN_MAX);
  const holes = listed.found.flatMap(({ gaps }) => gaps).map((hole) => ({ ...hole, from: Date.parse(hole.start), to: Date.parse(hole.end) }));
  return { asset, interval, start, end, rows, holes, rest: listed.rest, missing: bare(interval, rows, holes, start, end) };
}

/** An object for each row of an answer in columns. The texts of the numbers stay as they are. */
function rowsOf(data) {
  return data.timestamp.map((timestamp, at) => ({
    time: Date.parse(timestamp),
    open: data.open[at], high: data.high[at], low: data.low[at], close: data.close[at],
    volume: data.volume[at], filled: data.filled[at], complete: data.complete?.[at] ?? true,
  }));
}

/** The slots in holes for which there is no row, not even a filled one: before the first and behind the last. */
function bare(interval, rows, holes, start, end) {
  const found = [];
  const known = new Set(rows.map(({ time }) => time));
  const length = lengthOf(interval);
  const anchor = rows[0]?.time ?? start;
  const first = step(interval, anchor, Math.floor((start - anchor) / length));
  for (let steps = 0, time = first; time < end && steps <= CANDLES_DRAWN_MAX; steps += 1, time = step(interval, first, steps)) {
    if (time >= start && !known.has(time) && holesAt(holes, time, step(interval, time, 1)).length > 0) found.push(time);
  }
  return found;
}

/** The holes that a candle between two times has a part in. */
export function holesAt(holes, from, to) {
  return holes.filter((hole) => hole.from < to && hole.to > from);
}
