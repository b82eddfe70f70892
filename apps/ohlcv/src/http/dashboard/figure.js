// A loaded series as traces and a layout of Plotly.

import { CAUSES, meaning, story } from './causes.js';
import { axis, colour, layout, plain } from './theme.js';
import { holesAt } from './series.js';
import { lengthOf, step, utc } from './time.js';

/** Longer lines are folded, in characters. */
const LINE_MAX = 52;
/** How many holes are told in one label. */
const HOLES_TOLD_MAX = 3;
/** Digits of prices on the axis, with no zeros behind them. */
const PRICES = ',.8~f';

/** Where the trace stands that has all labels. */
export const SLOTS = 0;
/** Where a line of a label goes on: the next one is set in. */
export const FOLD = '<br>\u2003';
/** How high the labels are, from the bottom of the chart to its top. */
const LABELS_AT = 0.8;

/** `slot` is how wide a slot is, in pixels. */
export function figure(series, slot) {
  const real = series.rows.filter(({ filled }) => !filled);
  const filled = series.rows.filter((row) => row.filled);
  return [slots(series), candles(real), carried(filled, slot), volumes(real), holes(series)];
}

/** A point that is not seen for each slot, with its label: so there is one label at a time, also where no
 *  candle is. */
function slots(series) {
  const told = [
    ...series.rows.map((row) => [row.time, text(series, row)]),
    ...series.missing.map((time) => [time, bare(series, time)]),
  ].sort(([one], [other]) => one - other);
  return {
    type: 'scatter', mode: 'markers', name: 'slots', x: told.map(([time]) => time), y: told.map(() => LABELS_AT), yaxis: 'y3',
    text: told.map(([, said]) => said), hoverinfo: 'text', marker: { size: 1, opacity: 0 },
  };
}

function candles(real) {
  const of = (name) => real.map((row) => Number(row[name]));
  return {
    type: 'candlestick', name: 'candles', x: real.map(({ time }) => time),
    open: of('open'), high: of('high'), low: of('low'), close: of('close'), hoverinfo: 'skip',
    increasing: { line: { color: colour('up'), width: 1 }, fillcolor: colour('up') },
    decreasing: { line: { color: colour('down'), width: 1 }, fillcolor: colour('down') },
  };
}

function carried(filled, slot) {
  return {
    type: 'scatter', mode: 'markers', name: 'filled', x: filled.map(({ time }) => time),
    y: filled.map(({ close }) => Number(close)), hoverinfo: 'skip',
    // A dash is 1.4 times as long as its size.
    marker: {
      symbol: 'line-ew', size: Math.min(Math.max(slot * 0.57, 2), 14), line: { width: 2.5, color: colour('filled') }, color: colour('filled'),
    },
  };
}

/** What the label of a slot without any row says. */
function bare(series, time) {
  const found = holesAt(series.holes, time, step(series.interval, time, 1));
  return [head(series, time), 'no candle', ...holesTold(found)].join('<br>');
}

function volumes(real) {
  const rises = ({ open, close }) => Number(close) >= Number(open);
  return {
    type: 'bar', name: 'volume', x: real.map(({ time }) => time), y: real.map(({ volume }) => Number(volume)), yaxis: 'y2',
    hoverinfo: 'skip', marker: { color: real.map((row) => colour(rises(row) ? 'up' : 'down')), opacity: 0.55, line: { width: 0 } },
  };
}

/** Bands from top to bottom, hatched in the colour of the cause. A candle stands in the middle of its slot, so
 *  they are half a slot earlier. */
function holes(series) {
  const half = lengthOf(series.interval) / 2;
  const shown = series.holes.map((hole) => ({
    start: Math.max(Date.parse(hole.start), series.start), end: Math.min(Date.parse(hole.end), series.end), cause: hole.cause,
  }));
  const colours = shown.map(({ cause }) => colour(cause));
  return {
    type: 'bar', name: 'holes', x: shown.map(({ start, end }) => (start + end) / 2 - half),
    width: shown.map(({ start, end }) => end - start), y: shown.map(() => 1), yaxis: 'y3', hoverinfo: 'skip',
    // The line keeps a band in sight where it is narrower than a pixel.
    marker: {
      color: colours, opacity: 0.5, line: { width: 2, color: colours },
      pattern: { shape: '/', size: 7, solidity: 0.35, fgcolor: colours, fillmode: 'overlay' },
    },
  };
}

/** What the label of a row says: the numbers digit by digit as the API gave them. */
function text(series, row) {
  const found = row.filled || !row.complete ? holesAt(series.holes, row.time, step(series.interval, row.time, 1)) : [];
  const lines = [head(series, row.time)];
  if (row.filled) lines.push(`filled: no candle, carries the close ${row.close}`);
  else {
    lines.push(`Open ${row.open}`, `High ${row.high}`, `Low ${row.low}`, `Close ${row.close}`, `Volume ${row.volume}`);
    if (!row.complete) lines.push('incomplete: parts of it are missing');
  }
  return [...lines, ...holesTold(found)].join('<br>');
}

function head(series, time) {
  return `${plain(series.asset)} ${utc(time)} UTC, ${series.interval}`;
}

function holesTold(found) {
  const lines = found.slice(0, HOLES_TOLD_MAX).flatMap((hole) => story(hole).map((line) => plain(folded(line))));
  if (found.length > HOLES_TOLD_MAX) lines.push(`and ${found.length - HOLES_TOLD_MAX} more holes`);
  return lines.map((line) => line.replaceAll('\n', FOLD));
}

/** Long lines would leave the screen of a phone. */
function folded(line) {
  return line.length > LINE_MAX ? line.replace(/(.{24,48}) /g, '$1\n') : line;
}

export function chartLayout({ from, to }, series, narrow) {
  return layout({
    margin: { l: narrow ? 52 : 72, r: 8, t: 8, b: 40 }, hovermode: 'x', hoverdistance: -1, dragmode: 'pan', bargap: 0.25,
    xaxis: axis({
      type: 'date', range: [from, to], rangeslider: { visible: false }, hoverformat: '%Y-%m-%d %H:%M UTC', anchor: 'y2',
      nticks: narrow ? 4 : 10,
    }),
    yaxis: axis({ domain: [0.24, 1], fixedrange: true, tickformat: PRICES, ...inView(series, from, to) }),
    yaxis2: axis({ domain: [0, 0.2], fixedrange: true, nticks: 3, ...loudest(series, from, to) }),
    yaxis3: { domain: [0, 1], range: [0, 1], fixedrange: true, visible: false, overlaying: 'y' },
  });
}

/** The range of prices in view, with some room around it. */
export function inView(series, from, to) {
  const seen = series.rows.filter(({ time }) => time >= from && time <= to);
  if (seen.length === 0) return { autorange: true };
  const low = Math.min(...seen.map((row) => Number(row.low)));
  const high = Math.max(...seen.map((row) => Number(row.high)));
  const room = (high - low) * 0.06 || high * 0.01 || 1;
  return { autorange: false, range: [low - room, high + room] };
}

export function loudest(series, from, to) {
  const seen = series.rows.filter(({ time }) => time >= from && time <= to).map((row) => Number(row.volume));
  return { autorange: false, range: [0, Math.max(...seen, 0) * 1.08 || 1] };
}

/** The marks of the chart and what they mean; of the causes only those that are in sight. */
export function marks(series, { from, to }) {
  const seen = new Set(holesAt(series.holes, from, to).map(({ cause }) => cause));
  const filled = series.rows.some((row) => row.filled && row.time >= from && row.time <= to);
  return [
    ['up', '', 'rise'], ['down', '', 'fall'],
    ...(filled ? [['filled', 'dash', 'filled: carries the last close, no trade']] : []),
    ...CAUSES.filter((cause) => seen.has(cause)).map((cause) => [cause, 'hatched', `hole, ${meaning(cause)}`]),
  ];
}
