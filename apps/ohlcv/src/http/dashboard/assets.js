// The list of assets: how each stands, how late its newest candle is, what is missing of it.

import { CAUSES, short } from './causes.js';
import { lengthOf, span, utc } from './time.js';

const LOOKS = { complete: 'good', behind: 'busy', incomplete: 'bad', empty: 'busy', halted: '', untracked: '' };

/** Fills the selector, if the assets have changed. */
export function choices(select, rows, chosen, first = []) {
  const names = [...first, ...rows.map(({ asset }) => [asset, asset])];
  const same = select.options.length === names.length && names.every(([value], at) => select.options[at].value === value);
  if (!same) select.replaceChildren(...names.map(([value, text]) => new Option(text, value)));
  if (chosen !== undefined) select.value = chosen;
  select.disabled = names.length === 0;
}

export function table(body, rows, interval, chosen, pick) {
  const focused = document.activeElement?.dataset?.asset;
  body.replaceChildren(...rows.map((row) => {
    const line = document.createElement('tr');
    const name = document.createElement('button');
    Object.assign(name, { type: 'button', className: 'link', textContent: row.asset });
    name.dataset.asset = row.asset;
    name.setAttribute('aria-current', String(row.asset === chosen));
    name.addEventListener('click', () => pick(row.asset));
    const head = document.createElement('th');
    head.scope = 'row';
    head.append(name);
    const word = document.createElement('span');
    Object.assign(word, { className: `word ${LOOKS[row.status] ?? ''}`, textContent: row.status, title: row.backfill_reason ?? '' });
    line.append(head, cell(word), cell(newest(row, interval)), cell(lag(row), 'number'),
      cell(row.total_candles.toLocaleString('en'), 'number'),
      cell(row.earliest_timestamp ? utc(Date.parse(row.earliest_timestamp)) : '–'), cell(missing(row)));
    return line;
  }));
  body.querySelector(focused && `[data-asset="${CSS.escape(focused)}"]`)?.focus();
}

function cell(content, look = '') {
  const made = document.createElement('td');
  made.className = look;
  made.append(content);
  return made;
}

/** When the newest candle opened, and how long ago it closed. */
export function newest({ latest_timestamp: last }, interval) {
  if (!last) return 'none yet';
  const opened = Date.parse(last);
  const ago = interval ? Date.now() - opened - lengthOf(interval) : 0;
  return `${utc(opened)}${interval ? `, closed ${span(Math.max(ago, 0))} ago` : ''}`;
}

export function lag({ lag: candles, latest_timestamp: last }) {
  if (!last) return '–';
  return candles === 0 ? 'none' : `${candles.toLocaleString('en')} ${candles === 1 ? 'candle' : 'candles'}`;
}

function missing({ gaps }) {
  const counts = CAUSES.filter((cause) => gaps[cause] > 0).map((cause) => `${gaps[cause].toLocaleString('en')} ${short(cause)}`);
  return counts.length > 0 ? counts.join(', ') : 'nothing';
}
