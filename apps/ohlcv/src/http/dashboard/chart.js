// The chart: what is in view, how it is moved, and loading what comes into view.

import { FOLD, SLOTS, chartLayout, figure, inView, loudest, marks } from './figure.js';
import { CANDLES_SEEN_MIN, holeBeside, intervalFor, load, storedInterval } from './series.js';
import { legend } from './causes.js';
import { CONFIG } from './theme.js';
import { axisTime, lengthOf, span, utc } from './time.js';

/** Moves that follow each other this fast are one, in milliseconds. */
const SETTLED_MS = 120;
/** How long after its end a drag is surely done, in milliseconds. */
const RELEASED_MS = 50;
/** Between attempts to load, doubling. */
const RETRY_MS = 2000;
const RETRY_MAX_MS = 30_000;
/** What is seen at first of a series, in candles, on a wide screen. */
const CANDLES_AT_FIRST = 160;
/** How far a view may go beyond the history, in candles. */
const ROOM = 3;
const NARROW_PX = 560;
const POINT = 'Point at a candle to read it.';
const ZOOM = 1.6;
const PAN = 0.5;

export class Chart {
  constructor(parts, told) {
    this.parts = parts;
    this.told = told;
    this.asset = null;
    this.view = null;
    this.series = null;
    this.pointed = null;
    this.timer = null;
    this.busy = false;
    this.failures = 0;
    /** A pointer is down: drawing anew under it would break what it does, and waits. */
    this.held = false;
    this.late = false;
    parts.chart.addEventListener('pointerdown', () => { this.held = true; }, true);
    ['pointerup', 'pointercancel'].forEach((end) => addEventListener(end, () => setTimeout(() => this.released(), RELEASED_MS), true));
    parts.chart.addEventListener('keydown', (event) => this.key(event));
  }

  /** Shows an asset: at the given times, or its newest candles. */
  async open(row, wanted) {
    this.close();
    const mine = new AbortController();
    this.loading = mine;
    const stored = await storedInterval(row.asset, mine.signal);
    if (mine.signal.aborted) return;
    this.stored = stored;
    this.asset = row.asset;
    this.know(row);
    this.look(wanted?.from !== undefined && wanted.to > wanted.from ? wanted : this.newest());
  }

  /** Shows no asset. */
  close() {
    this.later(null);
    this.loading?.abort();
    this.failures = 0;
    this.busy = false;
    this.late = false;
    this.asset = null;
    this.view = null;
    this.series = null;
    this.parts.shown.textContent = '';
    this.parts.readout.textContent = POINT;
    this.parts.legend.replaceChildren();
  }

  /** What is known of the asset now: how far its history reaches. */
  know(row) {
    const length = lengthOf(this.stored);
    const first = Date.parse(row.earliest_timestamp);
    const behind = Date.parse(row.latest_timestamp) + length * (1 + row.lag);
    this.bounds = { from: first - length * ROOM, to: behind + length * ROOM };
    this.known = `${row.latest_timestamp} ${row.total_candles} ${JSON.stringify(row.gaps)}`;
  }

  /** The same asset with what is new of it. Who looks at its end goes on looking at its end. */
  renew(row) {
    const before = this.known;
    if (!this.view || row.asset !== this.asset || this.held) return;
    const end = this.bounds.to;
    this.know(row);
    if (this.known === before) {
      if (!this.fits() && !this.timer && !this.busy) this.fill();
      return;
    }
    const more = this.view.to >= end ? this.bounds.to - end : 0;
    this.series = null;
    this.look({ from: this.view.from + more, to: this.view.to + more });
  }

  width() {
    return Math.max(this.parts.chart.clientWidth - 80, 100);
  }

  newest() {
    const seen = Math.min(CANDLES_AT_FIRST, this.width() / 7) * lengthOf(this.stored);
    return { from: Math.max(this.bounds.to - seen, this.bounds.from), to: this.bounds.to };
  }

  /** Shows a range of time, as far as there is something. */
  look({ from, to }) {
    if (!(to > from)) return;
    const least = CANDLES_SEEN_MIN * lengthOf(this.stored);
    const whole = this.bounds.to - this.bounds.from;
    const length = Math.min(Math.max(to - from, least), Math.max(whole, least));
    const middle = (from + to) / 2;
    const start = Math.max(Math.min(middle - length / 2, this.bounds.to - length), this.bounds.from);
    this.view = { from: start, to: start + length };
    this.told.view(this.asset, this.view);
    if (this.series) this.frame();
    this.later(this.fits() ? null : this.series ? SETTLED_MS : 0);
  }

  /** Loads what is in view, unless it is moved before. */
  later(wait) {
    clearTimeout(this.timer);
    this.timer = wait === null ? null : setTimeout(() => this.fill(), wait);
    this.tell();
  }

  released() {
    this.held = false;
    if (this.late && this.series) this.draw();
  }

  /** Tells whether what is drawn is not yet what is in view. */
  tell() {
    const waits = this.timer !== null || this.busy || this.late;
    this.parts.chart.setAttribute('aria-busy', String(waits));
  }

  /** Whether what is loaded suits what is in view. */
  fits() {
    const { series, view } = this;
    if (!series || series.interval !== intervalFor(this.stored, view.from, view.to, this.width())) return false;
    return series.start <= Math.max(view.from, this.bounds.from) && series.end >= Math.min(view.to, this.bounds.to);
  }

  async fill() {
    this.later(null);
    this.loading?.abort();
    const mine = new AbortController();
    this.loading = mine;
    this.busy = true;
    const wanted = { asset: this.asset, stored: this.stored, ...this.view, px: this.width(), bounds: this.bounds };
    this.tell();
    try {
      const series = await load(wanted, mine.signal);
      if (mine.signal.aborted) return;
      this.series = series;
      this.late = true;
      if (!this.held) await this.draw();
      this.failures = 0;
      this.told.well();
    } catch (error) {
      if (mine.signal.aborted) return;
      const wait = Math.min(RETRY_MS * 2 ** this.failures, RETRY_MAX_MS);
      this.failures += 1;
      this.told.trouble(error, wait);
      this.later(wait);
    } finally {
      if (this.loading === mine) {
        this.busy = false;
        this.tell();
      }
    }
  }

  async draw() {
    this.late = false;
    const { chart } = this.parts;
    const narrow = chart.clientWidth < NARROW_PX;
    const first = !chart.classList.contains('js-plotly-plot');
    const slot = this.width() * lengthOf(this.series.interval) / (this.view.to - this.view.from);
    await Plotly.react(chart, figure(this.series, slot), chartLayout(this.view, this.series, narrow), CONFIG);
    if (first) this.listen();
    this.pointed = null;
    this.say();
    this.tell();
  }

  /** In other colours, or in another size, which other candles may suit. */
  async redraw() {
    if (!this.series) return;
    await this.draw();
    if (this.view) this.look(this.view);
  }

  listen() {
    const { chart } = this.parts;
    chart.on('plotly_relayout', (change) => this.moved(change));
    chart.on('plotly_hover', ({ points }) => this.point(points[0].pointNumber));
  }

  /** The pointer or the wheel has moved the axis. */
  moved(change) {
    const ends = [change['xaxis.range[0]'], change['xaxis.range[1]']];
    // `frame` names the range as a whole.
    if (ends.some((end) => end === undefined)) return;
    const [from, to] = ends.map(axisTime);
    this.look({ from, to });
  }

  /** Moves the axes of what is drawn to what is in view. */
  async frame() {
    const { from, to } = this.view;
    const [price, volume] = [inView(this.series, from, to), loudest(this.series, from, to)];
    await Plotly.relayout(this.parts.chart, {
      'xaxis.range': [from, to], 'yaxis.autorange': price.autorange, 'yaxis2.range': volume.range,
      ...(price.range ? { 'yaxis.range': price.range } : {}),
    });
    this.say();
  }

  say() {
    const { from, to } = this.view;
    const { rows, interval } = this.series;
    const seen = rows.filter(({ time }) => time >= from && time <= to);
    const filled = seen.filter((row) => row.filled).length;
    const { chart, shown } = this.parts;
    legend(this.parts.legend, marks(this.series, this.view));
    shown.textContent = `${utc(from)} to ${utc(to)} UTC (${span(to - from)}): ${seen.length - filled} candles of ${interval}`
      + `${filled > 0 ? `, ${filled} filled` : ''}${this.series.rest ? '; more holes than are drawn' : ''}`;
    chart.dataset.interval = interval;
    chart.dataset.drawn = String(rows.length);
    chart.setAttribute('aria-label', `Candlestick chart of ${this.asset} with volume, ${shown.textContent}`);
  }

  /** A slot is pointed at: what its label says, in a line that screen readers and phones have too. */
  point(number) {
    this.pointed = number;
    const said = this.parts.chart.data[SLOTS].text[number];
    this.parts.readout.textContent = said.replaceAll(FOLD, ' ').replaceAll('<br>', ' · ')
      .replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
  }

  /** Points at the next slot in view, without a pointer. */
  read(forward) {
    const times = this.parts.chart.data[SLOTS].x;
    const first = times.findIndex((time) => time >= this.view.from);
    const last = times.findLastIndex((time) => time <= this.view.to);
    if (first < 0 || last < first) return;
    const next = this.pointed === null ? (forward ? first : last) : this.pointed + (forward ? 1 : -1);
    const number = Math.min(Math.max(next, first), last);
    Plotly.Fx.hover(this.parts.chart, [{ curveNumber: SLOTS, pointNumber: number }]);
    this.point(number);
  }

  async hole(forward) {
    const { view } = this;
    try {
      const hole = await holeBeside(this.asset, view, forward);
      if (!hole) return this.told.note(forward ? 'No hole behind this.' : 'No hole before this.');
      const middle = (Math.max(Date.parse(hole.start), this.bounds.from) + Math.min(Date.parse(hole.end), this.bounds.to)) / 2;
      const half = (view.to - view.from) / 2;
      this.look({ from: middle - half, to: middle + half });
    } catch (error) {
      this.told.note(`The hole was not found: ${error.message}.`);
    }
  }

  /** What buttons and keys do. */
  act(what) {
    if (!this.view) return;
    const { from, to } = this.view;
    const [length, middle] = [to - from, (from + to) / 2];
    const around = (half) => this.look({ from: middle - half, to: middle + half });
    const by = (part) => this.look({ from: from + part * length, to: to + part * length });
    ({
      earlier: () => by(-PAN), later: () => by(PAN), in: () => around(length / 2 / ZOOM), out: () => around(length / 2 * ZOOM),
      whole: () => this.look(this.bounds), newest: () => this.look(this.newest()),
      'hole-before': () => this.hole(false), 'hole-after': () => this.hole(true),
      'read-before': () => this.series && this.read(false), 'read-after': () => this.series && this.read(true),
    })[what]();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const shifted = { ArrowLeft: 'read-before', ArrowRight: 'read-after' };
    const keys = {
      ArrowLeft: 'earlier', ArrowRight: 'later', '+': 'in', '=': 'in', '-': 'out', '−': 'out', 0: 'whole', End: 'newest',
      PageUp: 'hole-before', PageDown: 'hole-after',
    };
    const what = (event.shiftKey && shifted[event.key]) || keys[event.key];
    if (!what) return;
    event.preventDefault();
    this.act(what);
  }
}
