// Jobs, with the key that they need: it stays in this tab.

import { get, send, url } from './api.js';
import { Poll } from './poll.js';
import { span, utc } from './time.js';

const STORED_AS = 'ohlcv-key';
/** Between two looks, while something goes on and while nothing does. */
const BUSY_MS = 1500;
const QUIET_MS = 10_000;
const RETRY_MS = 2000;
const JOBS_SHOWN_MAX = 20;
const NO_KEY = 'Jobs are shown to who has a key: one of those that the service was given in API_KEY. Enter it beside this.';
const ENDED = new Set(['succeeded', 'partly_failed', 'failed', 'cancelled']);
const LOOKS = { succeeded: 'good', running: 'busy', queued: 'busy', failed: 'bad', partly_failed: 'bad', cancelled: '' };

export class Jobs {
  constructor(parts, stirred) {
    this.parts = parts;
    this.stirred = stirred;
    parts.key.value = sessionStorage.getItem(STORED_AS) ?? '';
    parts.form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.submit();
    });
    parts.key.addEventListener('change', () => this.keep());
    parts.forget.addEventListener('click', () => {
      parts.key.value = '';
      this.keep();
      this.say('The key is forgotten.');
    });
    this.poll = new Poll(() => this.renew(), (error, wait) => this.failed(error, wait), RETRY_MS);
    this.keep();
  }

  get key() {
    return this.parts.key.value.trim();
  }

  keep() {
    if (this.key) sessionStorage.setItem(STORED_AS, this.key);
    else sessionStorage.removeItem(STORED_AS);
    this.refused = false;
    this.poll.now();
  }

  /** Without a key nothing is asked, nor again with one that was refused. */
  async renew() {
    if (!this.key || this.refused) {
      if (!this.key) this.note(NO_KEY);
      if (!this.key) this.parts.list.replaceChildren();
      return QUIET_MS;
    }
    const { key } = this;
    let jobs;
    try {
      ({ jobs } = await get(url('/api/v1/jobs', { limit: JOBS_SHOWN_MAX }), { key }));
    } catch (error) {
      // What is said of a key that is no longer there is not about the one that is.
      if (key !== this.key) return 0;
      throw error;
    }
    if (key !== this.key) return 0;
    this.note(jobs.length === 0 ? 'No jobs yet.' : '');
    this.show(jobs);
    const busy = jobs.some(({ state }) => !ENDED.has(state));
    if (busy || this.busy) this.stirred(!busy);
    this.busy = busy;
    return busy ? BUSY_MS : QUIET_MS;
  }

  failed(error, wait) {
    this.refused = error.status === 401 || error.status === 403;
    this.note(this.refused ? `${error.message}.` : `${error.message}; asked again in ${span(wait)}.`);
    if (this.refused) this.parts.list.replaceChildren();
  }

  note(text) {
    if (this.parts.note.textContent !== text) this.parts.note.textContent = text;
  }

  say(text) {
    this.parts.said.textContent = text;
  }

  async submit() {
    if (!this.key) {
      this.say('A fetch needs a key.');
      this.parts.key.focus();
      return;
    }
    const fields = new FormData(this.parts.form);
    const body = {
      ...(fields.get('assets') ? { assets: [fields.get('assets')] } : {}),
      ...(fields.get('start') ? { start_date: inUtc(fields.get('start')) } : {}),
      ...(fields.get('end') ? { end_date: inUtc(fields.get('end')) } : {}),
    };
    try {
      this.keep();
      const answer = await send('POST', '/api/v1/fetch/trigger', this.key, body, { 'Idempotency-Key': random() });
      this.say(`${answer.message}: ${answer.job_id}`);
      this.poll.now();
    } catch (error) {
      this.say(`Not started: ${error.message}.`);
    }
  }

  async cancel(id) {
    try {
      await send('DELETE', `/api/v1/jobs/${encodeURIComponent(id)}`, this.key);
      this.poll.now();
    } catch (error) {
      this.say(`Not cancelled: ${error.message}.`);
    }
  }

  /** Items stay where they are, so that a focused button is not lost. */
  show(jobs) {
    const { list } = this.parts;
    const items = new Map([...list.children].map((item) => [item.dataset.job, item]));
    const shown = jobs.map((job) => this.item(items.get(job.job_id) ?? blank(job, () => this.cancel(job.job_id)), job));
    if (shown.some((item, at) => list.children[at] !== item) || list.children.length !== shown.length) {
      list.replaceChildren(...shown);
    }
  }

  item(item, job) {
    const part = (name) => item.querySelector(`.${name}`);
    const { done, expected, percent, eta_seconds: eta } = job.progress;
    part('word').className = `word ${LOOKS[job.state] ?? ''}`;
    part('word').textContent = job.state.replaceAll('_', ' ');
    part('what').textContent = `${job.kind.replaceAll('_', ' ')} of ${named(job.assets.map(({ asset }) => asset))}`;
    part('when').textContent = `${utc(Date.parse(job.created_at))} UTC`;
    const bar = item.querySelector('progress');
    bar.value = percent;
    bar.setAttribute('aria-label', `${part('what').textContent}: ${percent} %`);
    part('far').textContent = `${percent} %, ${done.toLocaleString('en')} of ${expected.toLocaleString('en')} candles`
      + `${eta === null ? '' : `, ${span(eta * 1000)} left`}`;
    part('error').textContent = job.assets.filter(({ error }) => error).map(({ asset, error }) => `${asset}: ${error}`).join('; ');
    item.querySelector('button').hidden = ENDED.has(job.state);
    return item;
  }
}

function blank(job, cancel) {
  const item = document.createElement('li');
  item.dataset.job = job.job_id;
  const line = document.createElement('div');
  line.className = 'line';
  line.append(...['word', 'what', 'when hint'].map((look) => Object.assign(document.createElement('span'), { className: look })));
  const button = Object.assign(document.createElement('button'), { type: 'button', textContent: 'Cancel' });
  button.setAttribute('aria-label', `Cancel job ${job.job_id}`);
  button.addEventListener('click', cancel);
  line.append(button);
  const bar = Object.assign(document.createElement('progress'), { max: 100 });
  const [far, error] = ['far hint', 'error'].map((look) => Object.assign(document.createElement('p'), { className: look }));
  item.append(line, bar, far, error);
  return item;
}

function named(assets) {
  return assets.length > 6 ? `${assets.slice(0, 5).join(', ')} and ${assets.length - 5} more` : assets.join(', ');
}

/** What a field without a zone says, which is UTC here. */
function inUtc(text) {
  return new Date(`${text}Z`).toISOString();
}

/** Not `randomUUID`, which is missing where a page came over plain HTTP from another machine. */
function random() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
