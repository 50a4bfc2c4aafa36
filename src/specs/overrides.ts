/** Flags over the file: what a pipeline gives with each run. */
import { formatPath, SpecError } from './errors.ts';

/** What flags say over the file. */
export interface Overrides {
  /** In place of `spec.image`. */
  image?: string | undefined;
  /** Added to `spec.images`, container by container. */
  images?: Record<string, string> | undefined;
  /** In place of `spec.reason`. */
  reason?: string | undefined;
}

/**
 * The spec as a person wrote it, with what flags say over it, and which path is now whose flag. Throws SpecError when a flag
 * does not go with the file: which of the containers `--image` means is not guessed.
 */
export function override(
  value: unknown,
  overrides: Overrides,
  source: string,
): { value: unknown; flags: Map<string, string> } {
  const flags = new Map<string, string>();
  const spec = isRecord(value) ? value.spec : undefined;
  if (!isRecord(value) || !isRecord(spec)) return { value, flags };
  const next = { ...spec };
  if (overrides.image !== undefined) {
    if (spec.images !== undefined) {
      throw conflict(source, '--image', 'spec.images', '--images CONTAINER=IMAGE');
    }
    next.image = overrides.image;
    flags.set('spec.image', '--image');
  }
  if (overrides.images !== undefined && Object.keys(overrides.images).length > 0) {
    if (spec.image !== undefined) throw conflict(source, '--images', 'spec.image', '--image IMAGE');
    next.images = { ...(isRecord(spec.images) ? spec.images : {}), ...overrides.images };
    for (const container of Object.keys(overrides.images))
      flags.set(formatPath(['spec', 'images', container]), '--images');
  }
  if (overrides.reason !== undefined) {
    next.reason = overrides.reason;
    flags.set('spec.reason', '--reason');
  }
  return { value: { ...value, spec: next }, flags };
}

function conflict(source: string, given: string, field: string, instead: string): SpecError {
  return new SpecError(source, [
    { path: given, message: `does not go with ${field} of ${source}; use ${instead}` },
  ]);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
