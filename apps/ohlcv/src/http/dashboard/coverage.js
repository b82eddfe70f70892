// How complete every asset is: a row of days for each, coloured by the cause of what is missing.

import { ofAsset, pages, url } from './api.js';
import { CAUSES, legend, meaning, short } from './causes.js';
import { storedInterval } from './series.js';
import { CONFIG, axis, colour, layout, plain } from './theme.js';
import { DAY, iso, lengthOf } from './time.js';

/** So many assets have a row; the table below has all of them. */
export const ASSETS_SHOWN_MAX = 40;
const PAGES_MAX = 5;
const HOLES_OF_A_PAGE = 10_000;
/** A column is at least so wide, in pixels: a single day in thirty years would not be seen. */
const COLUMN_PX_MIN = 2;
const ROW_PX = 24;
const STORED = 0;
/** Worse causes have greater numbers, so that the worst one of a column shows. */
const CODES = new Map([...CAUSES].reverse().map((cause, at) => [cause, at + 1]));

export class Coverage {
  constructor(parts, picked) {
    this.parts = parts;
    this.picked = picked;
    this.known = new Map();
    this.rows = [];
  }

  /** Asks for the holes of those assets alone of which something has changed. */
  async renew(rows) {
    this.rows = rows.slice(0, ASSETS_SHOWN_MAX);
    let changed = false;
    for (const row of this.rows) {
      const stand = JSON.stringify(row);
      if (this.known.get(row.asset)?.stand === stand) continue;
      const path = url(`/api/v1/assets/${ofAsset(row.asset)}/gaps`, { start: iso(0), limit: HOLES_OF_A_PAGE });
      const { found, rest } = await pages(path, PAGES_MAX);
      this.known.set(row.asset, { stand, holes: found.flatMap(({ gaps }) => gaps), rest });
      this.interval ??= await storedInterval(row.asset);
      changed = true;
    }
    if (changed) await this.draw();
    const cut = rows.length > ASSETS_SHOWN_MAX ? `The first ${ASSETS_SHOWN_MAX} of ${rows.length} assets. ` : '';
    const rest = [...this.known.values()].some((known) => known.rest) ? 'Some assets have more holes than are shown. ' : '';
    this.parts.note.textContent = `${cut}${rest}${this.days > 1 ? `A column is ${this.days} days; its worst cause shows. ` : ''}`
      + 'Select a day to see it in the chart.';
  }

  async draw() {
    const found = this.span();
    this.parts.strip.hidden = !found;
    if (!found) return;
    const { from, to } = found;
    const all = Math.ceil((to - from) / DAY);
    const columns = Math.max(Math.floor((this.parts.strip.clientWidth - 90) / COLUMN_PX_MIN), 50);
    this.days = Math.max(Math.ceil(all / columns), 1);
    const length = this.days * DAY;
    const starts = Array.from({ length: Math.ceil(all / this.days) }, (_, at) => from + at * length);
    const cells = this.rows.map((row) => this.cells(row, starts, length));
    const trace = {
      type: 'heatmap', x: starts.map((start) => start + length / 2), y: this.rows.map(({ asset }) => plain(asset)),
      z: cells.map((row) => row.map(({ code }) => code)), text: cells.map((row) => row.map(({ said }) => said)),
      hoverinfo: 'text', showscale: false, zmin: -0.5, zmax: CAUSES.length + 0.5, colorscale: scale(), ygap: 3,
    };
    const first = !this.parts.strip.classList.contains('js-plotly-plot');
    await Plotly.react(this.parts.strip, [trace], layout({
      height: this.rows.length * ROW_PX + 50, margin: { l: 60, r: 8, t: 4, b: 40 }, hovermode: 'closest', dragmode: false,
      xaxis: axis({ type: 'date', range: [from, to], fixedrange: true, nticks: this.parts.strip.clientWidth < 560 ? 4 : 10, showgrid: false }),
      yaxis: axis({ type: 'category', autorange: 'reversed', fixedrange: true, showgrid: false, ticks: '', dtick: 1 }),
    }), { ...CONFIG, scrollZoom: false });
    if (first) {
      this.parts.strip.on('plotly_click', ({ points: [{ pointNumber: [row, column] }] }) => {
        this.picked(this.rows[row].asset, this.starts[column]);
      });
    }
    this.starts = starts;
    legend(this.parts.legend, [['stored', '', 'stored'], ...CAUSES.map((cause) => [cause, '', meaning(cause)])]);
  }

  /** From the first to the last day of which anything is known, of all assets. */
  span() {
    const times = this.rows.flatMap(({ asset, earliest_timestamp: first, latest_timestamp: last }) => {
      const holes = this.known.get(asset)?.holes ?? [];
      return [first && Date.parse(first), last && Date.parse(last) + lengthOf(this.interval),
        holes.length > 0 && Date.parse(holes[0].start), holes.length > 0 && Date.parse(holes.at(-1).end)];
    }).filter((time) => typeof time === 'number');
    if (times.length === 0) return null;
    // Not Math.min(...), whose arguments are bounded.
    const from = times.reduce((one, other) => Math.min(one, other));
    const to = times.reduce((one, other) => Math.max(one, other));
    return { from: Math.floor(from / DAY) * DAY, to: Math.ceil(to / DAY) * DAY };
  }

  /** What is to be seen and read in each column of an asset. */
  cells(row, starts, length) {
    const { holes } = this.known.get(row.asset) ?? { holes: [] };
    const [from, to] = ends(row, holes, lengthOf(this.interval));
    let next = 0;
    return starts.map((start) => {
      const end = start + length;
      if (end <= from || start >= to) return { code: null, said: '' };
      while (next < holes.length && Date.parse(holes[next].end) <= start) next += 1;
      let code = STORED;
      const missing = new Map();
      for (let at = next; at < holes.length && Date.parse(holes[at].start) < end; at += 1) {
        const { cause, start: begun, end: ended } = holes[at];
        code = Math.max(code, CODES.get(cause) ?? STORED);
        const time = Math.min(Date.parse(ended), end) - Math.max(Date.parse(begun), start);
        missing.set(cause, (missing.get(cause) ?? 0) + time);
      }
      return { code, said: told(row.asset, start, end, missing, lengthOf(this.interval)) };
    });
  }
}

function ends({ earliest_timestamp: first, latest_timestamp: last }, holes, interval) {
  const begins = [first && Date.parse(first), holes[0] && Date.parse(holes[0].start)].filter(Boolean);
  const stops = [last && Date.parse(last) + interval, holes.length > 0 && Date.parse(holes.at(-1).end)].filter(Boolean);
  return [Math.min(...begins), Math.max(...stops)];
}

function told(asset, start, end, missing, interval) {
  const day = (time) => iso(time).slice(0, 10);
  const when = end - start > DAY ? `${day(start)} to ${day(end - DAY)}` : day(start);
  const counts = [...missing].map(([cause, time]) => `${short(cause)}: ${Math.max(Math.round(time / interval), 1)} missing`);
  return [`${plain(asset)} ${when}`, ...(counts.length > 0 ? counts : ['all stored'])].join('<br>');
}

/** A colour for each code, without anything between. */
function scale() {
  const colours = ['stored', ...[...CAUSES].reverse()].map(colour);
  return colours.flatMap((one, at) => [[at / colours.length, one], [(at + 1) / colours.length, one]]);
}
