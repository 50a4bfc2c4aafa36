/**
 * Which releases have an alert already. Alertmanager sends what still fires again and again, and Temporal takes 10,000
 * signals for one run: a release that waits for a week beside an alert that it ignores must not use them up.
 */

/** Alerts that are remembered; of those that are forgotten, one repeat more is told. */
const KEPT = 10_000;

/** What is known of one alert and one workload: `null` until it is known which run has the alert. */
type Told = string | null;

/**
 * What was told is remembered by run, so that the next release of the workload hears of an alert that still fires. The first
 * telling asks nobody which run it reaches, because nothing may come between an alert and a rollback.
 */
export class Repeats {
  readonly #told = new Map<string, Told>();

  /** `tell` answers whether a running release has it durably; `running` which run that would be, `null` for none. */
  async once(key: string, running: () => Promise<Told>, tell: () => Promise<boolean>): Promise<boolean> {
    const before = this.#told.get(key);
    const run = before === undefined ? null : await running();
    if (before !== undefined && run !== null && run === before) return true;
    const delivered = await tell();
    if (delivered) this.#remember(key, run);
    else this.#told.delete(key);
    return delivered;
  }

  #remember(key: string, run: Told): void {
    this.#told.delete(key);
    this.#told.set(key, run);
    const [oldest] = this.#told.keys();
    if (this.#told.size > KEPT && oldest !== undefined) this.#told.delete(oldest);
  }
}
