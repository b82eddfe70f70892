// The dashboard, put together.

import * as address from './address.js';
import { get } from './api.js';
import { choices, lag, newest, table } from './assets.js';
import { Chart } from './chart.js';
import { Coverage } from './coverage.js';
import { Jobs } from './jobs.js';
import { Poll } from './poll.js';
import * as theme from './theme.js';
import { DAY, span } from './time.js';

/** Between two looks at the assets: while one has no candles or a job runs, and else. */
const BUSY_MS = 3000;
const QUIET_MS = 15_000;
const RETRY_MS = 2000;
/** A job that runs stirs the assets at most so often. */
const STIRRED_MS = 3000;
const NOTE_MS = 4000;
/** How much is shown around a day that was selected. */
const AROUND_A_DAY = 30 * DAY;

const part = (id) => document.getElementById(id);
const parts = {
  chart: part('chart'), shown: part('shown'), readout: part('readout'), legend: part('legend'),
  empty: part('empty'), trouble: part('trouble'), standing: part('standing'), select: part('asset'), body: part('assets').tBodies[0],
};
let rows = [];
/** The asset that was opened in the chart. */
let opened = null;
/** What the address asked for, until it is shown. */
let wished = address.read();
let stirredAt = 0;

const chart = new Chart(parts, { view: address.write, trouble, well, note });
const coverage = new Coverage(
  { strip: part('coverage'), legend: part('coverage-legend'), note: part('coverage-note') },
  (asset, day) => open(asset, { from: day - AROUND_A_DAY, to: day + AROUND_A_DAY }),
);
const jobs = new Jobs(
  { form: part('trigger'), key: part('key'), forget: part('forget'), said: part('said'), note: part('jobs-note'), list: part('jobs') },
  stirred,
);
const assets = new Poll(renew, trouble, RETRY_MS);

/** Reads how all assets stand, and shows what has changed. */
async function renew() {
  ({ assets: rows } = await get('/api/v1/assets'));
  well();
  if (!rows.some(({ asset }) => asset === opened)) opened = null;
  const chosen = opened ?? first();
  choices(parts.select, rows, chosen);
  choices(jobs.parts.form.elements.assets, rows.filter(({ tracked }) => tracked), undefined, [['', 'all tracked assets']]);
  // Whoever chooses another asset meanwhile ends what is loaded of this one.
  if (chosen) await show(chosen).catch((error) => { if (error.name !== 'AbortError') throw error; });
  list();
  await coverage.renew(rows);
  list();
  return rows.some(({ total_candles: candles, tracked }) => tracked && candles === 0) ? BUSY_MS : QUIET_MS;
}

/** What the address says, or the first asset with candles. */
function first() {
  const known = rows.find(({ asset }) => asset === wished.asset?.toUpperCase());
  return (known ?? rows.find(({ total_candles: candles }) => candles > 0) ?? rows[0])?.asset;
}

async function show(asset) {
  const row = rows.find((one) => one.asset === asset);
  const bare = row.total_candles === 0;
  parts.empty.hidden = !bare;
  if (bare) {
    chart.close();
    parts.empty.textContent = row.tracked
      ? `No candle of ${asset} is stored yet. The backfill brings them; this page looks again every ${span(BUSY_MS)}.`
      : `No candle of ${asset} is stored, and it is not tracked.`;
    opened = asset;
  } else if (chart.asset === asset) {
    chart.renew(row);
  } else {
    opened = asset;
    const view = wished.asset === undefined || wished.asset.toUpperCase() === asset ? wished : undefined;
    await chart.open(row, view);
    wished = {};
  }
}

/** Somebody chooses an asset, and maybe a time. */
async function open(asset, view) {
  if (!rows.some((row) => row.asset === asset)) return;
  opened = asset;
  parts.select.value = asset;
  wished = view ? { asset, ...view } : {};
  try {
    if (chart.asset === asset && view) chart.look(view);
    else await show(asset);
  } catch (error) {
    // What was not shown is shown with the next look at the assets.
    if (error.name !== 'AbortError') assets.now();
  }
  list();
}

function list() {
  table(parts.body, rows, coverage.interval, opened, open);
  const row = rows.find(({ asset }) => asset === opened);
  parts.standing.textContent = row ? standing(row) : 'No asset yet.';
}

function standing(row) {
  if (row.total_candles === 0) return `${row.status}; no candle yet`;
  return `${row.status}; newest candle ${newest(row, coverage.interval)}; lag: ${lag(row)}`;
}

/** A job goes on, or has ended: new candles may be there. */
function stirred(ended) {
  if (!ended && Date.now() - stirredAt < STIRRED_MS) return;
  stirredAt = Date.now();
  assets.now();
}

function trouble(error, wait) {
  parts.trouble.textContent = `Something is wrong: ${error.message}. Asked again in ${span(wait)}.`;
  parts.trouble.hidden = false;
}

function well() {
  parts.trouble.hidden = true;
}

let noted = null;

/** A word that goes by itself. */
function note(text) {
  parts.readout.textContent = text;
  clearTimeout(noted);
  noted = setTimeout(() => { if (parts.readout.textContent === text) parts.readout.textContent = ''; }, NOTE_MS);
}

/** Colours and sizes of the charts are drawn anew. */
function redraw() {
  chart.redraw();
  coverage.draw();
}

parts.select.addEventListener('change', () => open(parts.select.value));
document.querySelectorAll('[data-do]').forEach((button) => button.addEventListener('click', () => chart.act(button.dataset.do)));
address.onChange(({ asset, from, to }) => open(asset?.toUpperCase() ?? opened, to > from ? { from, to } : undefined));
theme.onChange(redraw);

let resized = null;
addEventListener('resize', () => {
  clearTimeout(resized);
  resized = setTimeout(redraw, 200);
});

assets.now();
