/** A release as lines of a CI log: a line when something changed, and only then. */
import type { Progress } from '../../client.ts';
import type { ReleaseStatus } from '../../domain/release/types.ts';
import { plain, span, stamp } from './text.ts';

export class ProgressLines {
  readonly #told = new Set<string>();
  #pods = '';
  #gate = '';
  #queue = '';

  /** Lines that `progress` adds to what was told before. */
  next(progress: Progress, now: number): string[] {
    if (progress.kind === 'silent') return [`${stamp(now)}  ${plain(progress.message)}`];
    if (progress.kind === 'queued') {
      const text = progress.ahead
        ? `in line, ${progress.ahead} before this one`
        : 'in line, next after the release that runs now';
      if (text === this.#queue) return [];
      this.#queue = text;
      return [`${stamp(now)}  ${text}`];
    }
    const { status } = progress;
    return [...this.#story(status), ...this.#podLine(status, now), ...this.#gateLines(status, now)];
  }

  #story({ timeline }: ReleaseStatus): string[] {
    const lines: string[] = [];
    for (const { at, text } of timeline) {
      const key = `${at} ${text}`;
      if (this.#told.has(key)) continue;
      this.#told.add(key);
      lines.push(`${stamp(at)}  ${plain(text)}`);
    }
    return lines;
  }

  #podLine({ stable, canary, outcome }: ReleaseStatus, now: number): string[] {
    const text = `canary ${canary.ready}/${canary.pods} ready, stable ${stable.ready}/${stable.pods} ready`;
    const known = stable.pods + canary.pods > 0;
    if (text === this.#pods || !known || outcome !== null) return [];
    this.#pods = text;
    return [`${stamp(now)}  ${text}`];
  }

  #gateLines({ gate, namespace, workload }: ReleaseStatus, now: number): string[] {
    const key = gate ? `${gate.name} ${gate.revision} ${gate.approvals.length}` : '';
    if (key === this.#gate) return [];
    this.#gate = key;
    if (!gate) return [];
    const left = `${gate.needed - gate.approvals.length} of ${gate.needed}`;
    const within = span(Date.parse(gate.expires) - now);
    return [
      `${stamp(now)}  waiting ${within} for ${left} approvals of gate ${gate.name}: slipway release approve ${namespace}/${workload} --gate ${gate.name} --revision ${gate.revision} --why "..."`,
    ];
  }
}
