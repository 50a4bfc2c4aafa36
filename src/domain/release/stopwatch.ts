/** A clock that can be stopped: bakes, gates, guards and deadlines count only the time in which they run. */
export class Stopwatch {
  #spent = 0;
  #since: number | null;
  readonly #span: number;

  /** Runs at once when `now` is given. All times are milliseconds. */
  constructor(span: number, now: number | null = null) {
    this.#span = span;
    this.#since = now;
  }

  get running(): boolean {
    return this.#since !== null;
  }

  start(now: number): void {
    this.#since ??= now;
  }

  stop(now: number): void {
    if (this.#since !== null) this.#spent += now - this.#since;
    this.#since = null;
  }

  remaining(now: number): number {
    const spent = this.#spent + (this.#since === null ? 0 : now - this.#since);
    return Math.max(0, this.#span - spent);
  }

  /** When the span is over if nothing stops the clock; `null` while it stands still. */
  due(now: number): number | null {
    return this.running ? now + this.remaining(now) : null;
  }
}
