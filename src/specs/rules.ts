/** Rules over several fields, and what is said when one is broken. */
import type * as z from 'zod';

/** A problem that takes a whole sentence, instead of "found ...; allowed: ...". */
export function sentence(context: z.core.$RefinementCtx, path: PropertyKey[], message: string): void {
  context.addIssue({ code: 'custom', path, message, params: { sentence: true } });
}

/** Exactly one of `kinds` is given; otherwise a problem that names them. */
export function oneOf<T extends Record<string, unknown>>(kinds: (keyof T & string)[]) {
  return (value: T, context: z.core.$RefinementCtx): void => {
    const given = kinds.filter((kind) => value[kind] !== undefined);
    if (given.length === 1) return;
    const found = given.length === 0 ? 'none of them' : given.join(' and ');
    sentence(context, [], `found ${found}; allowed: exactly one of ${kinds.join(', ')}`);
  };
}
