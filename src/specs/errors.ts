/** What is wrong with something a person wrote, in the words they can act upon. */

export interface Problem {
  /** Where: the path of a field (`spec.strategy.canary.steps[2].bake`), a flag (`--image`), or empty for the whole text. */
  path: string;
  /** 1-based line in the source; absent when the value did not come from the source. */
  line?: number;
  /** 1-based column in the source. */
  column?: number;
  /** One sentence without the path: what was found and what is allowed. */
  message: string;
}

/** Thrown when a spec cannot be accepted. `message` has one line when there is one problem, else a line for each. */
export class SpecError extends Error {
  /** What was read, e.g. a file name. */
  readonly source: string;
  readonly problems: Problem[];

  constructor(source: string, problems: Problem[]) {
    super(describeProblems(source, problems));
    this.name = 'SpecError';
    this.source = source;
    this.problems = problems;
  }
}

function describeProblems(source: string, problems: Problem[]): string {
  const lines = problems.map((problem) => describeProblem(source, problem));
  if (lines.length === 1) return lines[0] ?? source;
  return [`${source} has ${lines.length} problems:`, ...lines.map((line) => `  ${line}`)].join('\n');
}

function describeProblem(source: string, { path, line, column, message }: Problem): string {
  const place = line === undefined ? '' : `${source}:${line}:${column ?? 1}: `;
  const prefix = place === '' && path === '' ? `${source}: ` : place;
  return `${prefix}${path === '' ? '' : `${path}: `}${message}`;
}

/** `spec.steps[2].gate` from `['spec', 'steps', 2, 'gate']`; keys that are no plain words are quoted. */
export function formatPath(path: readonly PropertyKey[]): string {
  let text = '';
  for (const key of path) {
    if (typeof key === 'number') text += `[${key}]`;
    else if (/^[A-Za-z_][\w-]*$/.test(String(key))) text += `${text === '' ? '' : '.'}${String(key)}`;
    else text += `[${JSON.stringify(shorten(String(key)))}]`;
  }
  return text;
}

/** A value as it is shown in a message: short, and with its type where the look alone would mislead. */
export function describeValue(value: unknown): string {
  if (value === null) return 'nothing (null)';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object') return Object.keys(value).length === 0 ? 'an empty mapping' : 'a mapping';
  if (typeof value === 'string') return value === '' ? 'an empty text' : JSON.stringify(shorten(value));
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : typeof value;
}

/** A value that may be a secret in the wrong place. */
export function describeHidden(value: unknown): string {
  if (typeof value === 'string' && value !== '') return `a text of ${value.length} characters (not shown)`;
  return typeof value === 'number' ? 'a number (not shown)' : describeValue(value);
}

function shorten(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}

/**
 * The known name that a mistyped one was most likely meant to be, or `undefined` when none is near.
 * Case, dashes and underscores do not count as differences.
 */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const plain = (text: string) => text.toLowerCase().replaceAll(/[-_]/g, '');
  const wanted = plain(name).slice(0, 64);
  const begun = wanted.length >= 3 ? known.filter((candidate) => plain(candidate).startsWith(wanted)) : [];
  if (begun.length === 1) return begun[0];
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    const distance = editDistance(wanted, plain(candidate));
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best !== undefined && bestDistance <= Math.max(1, Math.floor(best.length * 0.4)) ? best : undefined;
}

/** Damerau-Levenshtein distance (optimal string alignment): a swap of neighbours counts once. */
function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const at = (r: number, c: number) => (r === i ? row[c] : rows[r]?.[c]) ?? Number.POSITIVE_INFINITY;
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let distance = Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        distance = Math.min(distance, at(i - 2, j - 2) + 1);
      }
      row.push(distance);
    }
    rows.push(row);
  }
  return rows[a.length]?.[b.length] ?? Number.POSITIVE_INFINITY;
}
