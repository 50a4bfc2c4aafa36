/** The demo promises an outcome; anything else ends it with exit code 1. */
export class NotAsTold extends Error {}

export function expectThat(holds: boolean, otherwise: string): void {
  if (!holds) throw new NotAsTold(otherwise);
}
