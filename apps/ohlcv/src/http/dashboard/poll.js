// Doing something again and again: never twice at once, later after failures, and not in a hidden tab.

const WAIT_MAX_MS = 30_000;

/** `act` returns how many milliseconds to wait; if it fails, `failed` is told and the wait doubles. */
export class Poll {
  constructor(act, failed, retryMs) {
    this.act = act;
    this.failed = failed;
    this.retryMs = retryMs;
    this.failures = 0;
    this.timer = null;
    this.busy = false;
    this.again = false;
    document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && this.now());
  }

  now() {
    clearTimeout(this.timer);
    if (this.busy) {
      this.again = true;
      return;
    }
    this.run();
  }

  async run() {
    if (document.visibilityState !== 'visible') return;
    this.busy = true;
    let wait;
    try {
      wait = await this.act();
      this.failures = 0;
    } catch (error) {
      wait = Math.min(this.retryMs * 2 ** this.failures, WAIT_MAX_MS);
      this.failures += 1;
      this.failed(error, wait);
    }
    this.busy = false;
    if (this.again) wait = 0;
    this.again = false;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.run(), wait);
  }
}
