/** Checks a value that a person wrote against a schema, and says in their words what is wrong with it. */
import type * as z from 'zod';
import { describeHidden, describeValue, formatPath, type Problem, SpecError } from './errors.ts';
import type { ReadDocument } from './yaml.ts';

/** More problems than this help nobody; the rest is counted. */
const MAX_PROBLEMS = 20;

type Issue = z.core.$ZodIssue;
interface Complaint {
  path: PropertyKey[];
  message: string;
  /** Point at the name of this field, not at the value at `path`. */
  at?: PropertyKey[];
  /** An unknown field, and the known one it was probably meant to be. */
  unknown?: { meant: string | undefined };
}

interface CheckOptions {
  source: string;
  value: unknown;
  document: ReadDocument;
  /** Flags that gave the value at a path, e.g. `spec.image` -> `--image`; such a problem is reported under the flag. */
  flags?: ReadonlyMap<string, string>;
  /** Where people write a secret in place of its name: what is found there is never shown. */
  hidden?: (path: readonly PropertyKey[]) => boolean;
}

/** The parsed value, or a SpecError with every problem found. */
export function check<Schema extends z.ZodType>(schema: Schema, options: CheckOptions): z.output<Schema> {
  const result = schema.safeParse(options.value, { reportInput: true });
  if (result.success) return result.data;
  const complaints = result.error.issues.flatMap((issue) => complain(issue, [], options));
  const problems = unique(withoutEchoes(complaints).map((complaint) => locateProblem(complaint, options)));
  problems.sort((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
  if (problems.length > MAX_PROBLEMS) {
    const rest = problems.length - MAX_PROBLEMS;
    problems.splice(MAX_PROBLEMS, rest, { path: '', message: `and ${rest} more` });
  }
  throw new SpecError(options.source, problems);
}

function complain(issue: Issue, prefix: PropertyKey[], options: CheckOptions): Complaint[] {
  const path = [...prefix, ...issue.path];
  if (issue.code === 'unrecognized_keys') {
    const messages = issue.message.split('\n');
    return issue.keys.map((key, i) => {
      const message = messages[i] ?? 'unknown field';
      const meant = /did you mean (.+)\?$/.exec(message)?.[1];
      return { path: [...path, key], at: [...path, key], message, unknown: { meant } };
    });
  }
  if (issue.code === 'invalid_key') {
    const [inner] = issue.issues;
    const name = describeValue(String(path.at(-1)));
    const message = `${name} is not allowed as a name here; allowed: ${inner?.message ?? issue.message}`;
    return [{ path: path.slice(0, -1), at: path, message }];
  }
  if (issue.code === 'invalid_union') {
    const branch = issue.errors.find(
      (issues) => !issues.some(({ path: at }) => at.length === 0 && rejectsType(issues)),
    );
    if (branch && branch.length > 0) return branch.flatMap((inner) => complain(inner, path, options));
  }
  if (issue.code === 'custom' && issue.params?.sentence === true) return [{ path, message: issue.message }];
  const found = valueAt(options.value, path);
  const shown = options.hidden?.(path) ? describeHidden(found) : describeValue(found);
  const message =
    found === undefined ? `missing; needed: ${issue.message}` : `found ${shown}; allowed: ${issue.message}`;
  return [{ path, message }];
}

/** A mistyped name also leaves the right one missing and its mapping incomplete; saying so would only distract. */
function withoutEchoes(complaints: Complaint[]): Complaint[] {
  const echoes = new Set<string>();
  for (const { path, unknown } of complaints) {
    if (!unknown) continue;
    const parent = path.slice(0, -1);
    echoes.add(formatPath(parent));
    if (unknown.meant) echoes.add(formatPath([...parent, unknown.meant]));
  }
  const kept = complaints.filter(
    ({ path, unknown }) => unknown !== undefined || !echoes.has(formatPath(path)),
  );
  return kept.length > 0 ? kept : complaints;
}

function rejectsType(issues: Issue[]): boolean {
  return issues.some(
    ({ code, path }) => path.length === 0 && code !== 'unrecognized_keys' && code !== 'custom',
  );
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}

function locateProblem({ path, at, message }: Complaint, { document, flags }: CheckOptions): Problem {
  const written = formatPath(path);
  const flag = flags?.get(formatPath(at ?? path));
  if (flag) return { path: flag, message };
  const place = (at ? document.locateKey(at) : undefined) ?? document.locate(path);
  return { path: written, ...place, message };
}

function unique(problems: Problem[]): Problem[] {
  return [...new Map(problems.map((problem) => [`${problem.path}\n${problem.message}`, problem])).values()];
}
