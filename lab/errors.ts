/** A failure with one sentence that says what to do; the command line prints it without a stack. */
export class LabError extends Error {
  override name = 'LabError';
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
