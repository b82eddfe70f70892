// Why candles are missing, in words and colours.

import { span, utc } from './time.js';

/** The causes, the one that needs somebody most first. */
export const CAUSES = ['failed', 'rejected', 'pending', 'source_empty', 'before_listing'];

const WORDS = {
  failed: 'failed: asking the exchange failed',
  rejected: 'rejected: the exchange sent something impossible',
  pending: 'pending: not asked yet, or the answer may still come',
  source_empty: 'source empty: the exchange has nothing there',
  before_listing: 'before listing: not traded yet',
};

export function meaning(cause) {
  return WORDS[cause] ?? cause;
}

export function short(cause) {
  return meaning(cause).split(':')[0];
}

/** Everything that is known of a hole, line by line. */
export function story(hole) {
  const lines = [
    `Hole: ${utc(Date.parse(hole.start))} to ${utc(Date.parse(hole.end))} UTC`,
    `${hole.slots} ${hole.slots === 1 ? 'candle' : 'candles'} missing, ${span(Date.parse(hole.end) - Date.parse(hole.start))}`,
    `Cause: ${meaning(hole.cause)}`,
  ];
  if (hole.detail) lines.push(hole.detail);
  if (hole.incident) lines.push(`Outage: ${hole.incident.detail}`);
  if (hole.last_asked) lines.push(`Asked ${hole.asked === 1 ? 'once' : `${hole.asked} times`}, last ${utc(Date.parse(hole.last_asked))} UTC`);
  return lines;
}

/** A list of marks with their meanings. */
export function legend(list, marks) {
  list.replaceChildren(...marks.map(([name, look, words]) => {
    const item = document.createElement('li');
    const swatch = document.createElement('span');
    swatch.className = `swatch ${look} of-${name}`;
    item.append(swatch, words);
    return item;
  }));
}
