/** What people send to a workflow, checked field by field; the sentences are read in the Temporal UI. */

/** Longest text that a person may send along. */
const LONGEST = 1_000;

/** What pages and sentences of ours show in place of a name or a reason: pasted as it is, it says nothing. */
const PLACEHOLDERS = /^(your name|your reason|\.{3}|…)$/i;

/** Half a sentence about the first field that is missing, not text, too long, or still an example; `null` when all are fine. */
export function fieldRefusal(command: object, fields: readonly string[]): string | null {
  for (const field of fields) {
    const value: unknown = Reflect.get(command, field);
    if (value === undefined || value === null) return `"${field}" is missing`;
    if (typeof value !== 'string')
      return `"${field}" must be text, not ${JSON.stringify(value).slice(0, 40)}`;
    if (value.trim() === '') return `"${field}" is empty`;
    if (PLACEHOLDERS.test(value.trim())) return `"${field}" still says ${value.trim()}; put your own there`;
    if (value.length > LONGEST)
      return `"${field}" is ${value.length} characters long; at most ${LONGEST} are allowed`;
  }
  return null;
}
