// Times in UTC, in milliseconds since 1970, and the intervals of candles.

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
const MONTH = '1M';

/** How long a candle lasts; a month is an average one. Finest first. */
const LENGTHS = new Map([
  ['1s', SECOND], ['1m', MINUTE], ['3m', 3 * MINUTE], ['5m', 5 * MINUTE], ['15m', 15 * MINUTE], ['30m', 30 * MINUTE],
  ['1h', HOUR], ['2h', 2 * HOUR], ['4h', 4 * HOUR], ['6h', 6 * HOUR], ['8h', 8 * HOUR], ['12h', 12 * HOUR],
  ['1d', DAY], ['3d', 3 * DAY], ['1w', 7 * DAY], [MONTH, 30.436875 * DAY],
]);

export function lengthOf(interval) {
  return LENGTHS.get(interval);
}

/** The intervals that the API can make of a stored one, that one first. */
export function madeOf(stored) {
  const length = lengthOf(stored);
  const divides = ([name, other]) => name === MONTH ? length <= DAY || stored === MONTH : other % length === 0;
  return [...LENGTHS].filter(divides).map(([name]) => name);
}

/** The open time of the candle `steps` behind the one that opens at `time`. */
export function step(interval, time, steps) {
  if (interval !== MONTH) return time + steps * lengthOf(interval);
  const date = new Date(time);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + steps, 1);
}

export function iso(time) {
  return new Date(time).toISOString().replace('.000Z', 'Z');
}

/** For people: to the minute, or to the second where there are any. */
export function utc(time) {
  const text = new Date(time).toISOString();
  return `${text.slice(0, 10)} ${text.slice(11, text.slice(17, 19) === '00' ? 16 : 19)}`;
}

/** A span of time in its two largest units. */
export function span(ms) {
  const parts = [[DAY, 'd'], [HOUR, 'h'], [MINUTE, 'min'], [SECOND, 's']];
  const from = parts.findIndex(([length]) => ms >= length);
  if (from < 0) return '0 s';
  const [first, second] = parts.slice(from, from + 2);
  const whole = Math.floor(ms / first[0]);
  const rest = second ? Math.floor((ms - whole * first[0]) / second[0]) : 0;
  return `${whole} ${first[1]}${rest > 0 ? ` ${rest} ${second[1]}` : ''}`;
}

/** What Plotly says of the ends of an axis of time: text without a zone, or a number. */
export function axisTime(value) {
  return typeof value === 'number' ? value : Date.parse(`${String(value).replace(' ', 'T')}Z`);
}
