// What is in view, in the address, so that a view can be kept and passed on: #asset=BTC&from=…&to=…

import { iso } from './time.js';

let written = '';

export function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  const time = (name) => {
    const value = Date.parse(given.get(name) ?? '');
    return Number.isNaN(value) ? undefined : value;
  };
  return { asset: given.get('asset') ?? undefined, from: time('from'), to: time('to') };
}

export function write(asset, { from, to }) {
  const whole = (time) => iso(Math.round(time / 1000) * 1000);
  const hash = `#asset=${encodeURIComponent(asset)}&from=${whole(from)}&to=${whole(to)}`;
  if (hash === location.hash) return;
  written = hash;
  history.replaceState(null, '', hash);
}

/** Somebody else has changed the address. */
export function onChange(act) {
  addEventListener('hashchange', () => location.hash !== written && act(read()));
}
