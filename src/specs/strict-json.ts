/** How manifests are read: JSON that programs wrote, refused at the first thing that is wrong. */
import type * as z from 'zod';

/** @throws Error that says that `what` is not JSON */
export function readJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error(`${what} is not JSON`, { cause });
  }
}

/** @throws Error that names the first field of `what` that is wrong */
export function checkStrictly<Schema extends z.ZodType>(
  schema: Schema,
  json: unknown,
  what: string,
): z.output<Schema> {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new Error(`${what} is not valid: ${issue?.path.join('.') || 'whole'}: ${issue?.message}`);
}
