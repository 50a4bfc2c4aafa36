import type { RestoreItem } from './plan.ts';
import type { RestorePhase, RestoreProgress } from './run.types.ts';

/** Keeps what a restore is at, tells it to whoever listens, and takes the time of each phase. */
export class ProgressMeter {
  readonly #listener: ((progress: RestoreProgress) => void) | undefined;
  readonly #timings: Partial<Record<RestorePhase, number>> = {};
  #phaseStart = performance.now();
  #now: RestoreProgress = {
    phase: 'verify',
    namespace: '',
    bytes: 0,
    documents: 0,
    totalBytes: 0,
    namespacesDone: 0,
    namespacesTotal: 0,
  };

  constructor(listener: ((progress: RestoreProgress) => void) | undefined) {
    this.#listener = listener;
  }

  /** Milliseconds of each phase that has ended. */
  get timings(): Partial<Record<RestorePhase, number>> {
    return this.#timings;
  }

  enter(phase: RestorePhase, totalBytes = 0, namespacesTotal = 0): void {
    const now = performance.now();
    this.#timings[this.#now.phase] = Math.round(now - this.#phaseStart);
    this.#phaseStart = now;
    this.report({
      phase,
      totalBytes,
      namespacesTotal,
      bytes: 0,
      documents: 0,
      namespacesDone: 0,
      namespace: '',
    });
  }

  /** Enters a phase that goes through all of these. */
  enterWith(phase: RestorePhase, items: readonly RestoreItem[]): void {
    this.enter(
      phase,
      items.reduce((sum, { bytes }) => sum + bytes, 0),
      items.length,
    );
  }

  report(change: Partial<RestoreProgress>): void {
    this.#now = { ...this.#now, ...change };
    this.#listener?.(this.#now);
  }

  /** So much more has been handled. */
  add(namespace: string, bytes: number, documents: number): void {
    this.report({
      namespace,
      bytes: this.#now.bytes + bytes,
      documents: this.#now.documents + documents,
    });
  }

  doneWith({ source }: RestoreItem): void {
    this.report({ namespace: source, namespacesDone: this.#now.namespacesDone + 1 });
  }
}
