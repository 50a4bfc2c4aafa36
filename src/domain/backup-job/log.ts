/** What the scripts of Jobs print, and what mongodump says on the way. Pure. */
import type { TransferProgress } from '../backup/types.ts';

const MARK = 'slipway:';

/** Values of the lines `slipway:KIND VALUE`, in their order. */
export function told(log: string, kind: string): string[] {
  const prefix = `${MARK}${kind} `;
  return log.split('\n').flatMap((line) => (line.startsWith(prefix) ? [line.slice(prefix.length)] : []));
}

/** Whether nothing was lost at the beginning, where a log that grows too long is cut. */
export function hasBeginning(log: string): boolean {
  return log.startsWith(`${MARK}begin\n`);
}

/** Whether the script came to its end and nothing of what it printed was lost there. */
export function isWhole(log: string): boolean {
  return log.trimEnd().endsWith(`\n${MARK}end`) || log.trimEnd() === `${MARK}end`;
}

/** The last lines that a person can use, without progress bars and without what is meant for Slipway. */
export function lastWords(log: string, lines = 4, characters = 800): string {
  const kept = log
    .split('\n')
    .map((line) => line.replace(/^\d{4}-\d\d-\d\dT[\d:.]+[+-]\d{4}\s+/, '').trim())
    .filter((line) => line !== '' && !line.startsWith(MARK) && !/^\[[#.]+\]/.test(line));
  return kept.slice(-lines).join('; ').slice(-characters);
}

/** Reads the log of a dump line by line and says how far it is. */
export class DumpLog {
  #stage: 'starting' | 'dumping' | 'proving' = 'starting';
  #stored = 0;
  #namespace = '';
  #documents = 0;
  /** Documents of namespaces that are still being read. */
  readonly #open = new Map<string, number>();
  #done = 0;
  #writing = 0;

  take(line: string): void {
    const progress = /^slipway:progress (dumping|proving) (\d+)$/.exec(line);
    if (progress) {
      this.#stage = progress[1] as 'dumping' | 'proving';
      this.#stored = Number(progress[2]);
      return;
    }
    // Newer versions put names between backticks.
    const done = /\bdone dumping `?(.+?)`? \((\d+) documents?\)$/.exec(line);
    if (done) {
      this.#open.delete(done[1] as string);
      this.#documents += Number(done[2]);
      this.#done += 1;
      return;
    }
    const writing = /\bwriting `?(.+?)`? to `?archive/.exec(line);
    if (writing) {
      this.#writing += 1;
      this.#namespace = writing[1] as string;
      return;
    }
    const bar = /\]\s+(\S.*?)\s+(\d+)(?:\/\d+)?(?:\s+\([\d.]+%\))?$/.exec(line);
    if (bar && line.includes('[')) {
      this.#namespace = bar[1] as string;
      this.#open.set(this.#namespace, Number(bar[2]));
    }
  }

  /** `bytes` are those stored, after compression; how many it will be nobody knows. */
  progress(note: string): Omit<TransferProgress, 'rate'> {
    const open = [...this.#open.values()].reduce((sum, count) => sum + count, 0);
    const proving = this.#stage === 'proving';
    return {
      stage: this.#stage,
      bytes: this.#stored,
      totalBytes: 0,
      documents: this.#documents + open,
      namespace: proving ? '' : this.#namespace,
      namespaces: this.#done,
      totalNamespaces: Math.max(this.#writing, this.#done),
      ...(this.#stage === 'starting' ? { note } : {}),
    };
  }
}
