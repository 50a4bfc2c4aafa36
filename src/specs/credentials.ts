/** Keeps passwords out of specs, and so out of histories, messages and logs. */
import { formatPath, type Problem, SpecError } from './errors.ts';

/** People forget to escape the slash and the space in a password, so of MongoDB's own scheme any `@` will do. */
function holdsCredentials(text: string): boolean {
  return /:\/\/[^/\s]*@|mongodb(\+srv)?:\/\/.*@/s.test(text);
}

/** Before anything else, for other messages show what they found: a URI with a password must not be among it. */
export function refuseCredentials(
  value: unknown,
  name: string,
  locate: (path: readonly PropertyKey[]) => { line: number; column: number } | undefined,
): void {
  const problems: Problem[] = [];
  const report = (at: PropertyKey[]) =>
    problems.push({
      path: formatPath(at),
      ...locate(at),
      message:
        'holds a connection string with credentials (not shown); write uriFrom: { env: NAME } or ' +
        'uriFrom: { secret: ... }, and keep the string there',
    });
  const visit = (each: unknown, at: PropertyKey[]): void => {
    if (typeof each === 'string' && holdsCredentials(each)) report(at);
    else if (typeof each === 'object' && each !== null) {
      for (const [key, inner] of Object.entries(each)) {
        if (holdsCredentials(key)) report(at);
        else visit(inner, [...at, Array.isArray(each) ? Number(key) : key]);
      }
    }
  };
  visit(value, []);
  if (problems.length > 0) throw new SpecError(name, problems);
}
