/** The demo's account: what happened when, and how many requests failed in each part. */
import type { Snapshot } from '../traffic/tally.ts';

interface Part {
  title: string;
  seconds: number;
  ok: number;
  failed: number;
}

export class Logbook {
  readonly #startedAt = Date.now();
  readonly #parts: Part[] = [];
  #open: { title: string; at: number; ok: number; failed: number } | null = null;

  /** One line, with the seconds since the demo began. */
  say(text: string): void {
    const seconds = ((Date.now() - this.#startedAt) / 1000).toFixed(1);
    console.log(`${seconds.padStart(6)} s  ${text}`);
  }

  /** Ends the open part, if any, and begins the next; requests are counted by the difference. */
  enter(title: string, { ok, failed }: Snapshot): void {
    this.close({ ok, failed });
    this.#open = { title, at: Date.now(), ok, failed };
  }

  close({ ok, failed }: { ok: number; failed: number }): void {
    if (!this.#open) return;
    const { title, at, ok: ok0, failed: failed0 } = this.#open;
    this.#parts.push({ title, seconds: (Date.now() - at) / 1000, ok: ok - ok0, failed: failed - failed0 });
    this.#open = null;
  }

  /** Failed requests of all parts whose title begins so. */
  failedIn(prefix: string): number {
    return this.#parts
      .filter(({ title }) => title.startsWith(prefix))
      .reduce((sum, { failed }) => sum + failed, 0);
  }

  print(): void {
    const width = Math.max(...this.#parts.map(({ title }) => title.length));
    console.log(`\n${'Part'.padEnd(width)}  Seconds  Requests  Failed`);
    for (const { title, seconds, ok, failed } of this.#parts) {
      const cells = [
        seconds.toFixed(1).padStart(7),
        String(ok + failed).padStart(8),
        String(failed).padStart(6),
      ];
      console.log(`${title.padEnd(width)}  ${cells.join('  ')}`);
    }
  }
}
