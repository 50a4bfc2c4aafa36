/** Exit codes of every command; CI acts on them, so they never change their meaning. */
import type { Outcome } from '../domain/release/types.ts';

export const EXIT = {
  /** Done; for a release that is waited for: promoted. */
  ok: 0,
  /** Could not do it: preflight refused, the release failed, Temporal is away, a command was refused. */
  failed: 1,
  /** Bad input: a flag, an argument, a file or a setting. Nothing was touched. */
  badInput: 2,
  /** A guard failed, or a gate expired, and stable serves again. */
  rolledBack: 3,
  /** A person rejected or aborted it, and stable serves again. */
  stopped: 4,
  /** Another release of the workload runs, or took the place of this one. */
  otherRelease: 5,
  /** Still running at `--timeout`, or when the watcher went away. */
  stillRunning: 6,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export function exitOf(outcome: Outcome | null): ExitCode {
  switch (outcome) {
    case null:
      return EXIT.stillRunning;
    case 'promoted':
      return EXIT.ok;
    case 'rolled-back':
      return EXIT.rolledBack;
    case 'rejected':
    case 'aborted':
      return EXIT.stopped;
    case 'superseded':
      return EXIT.otherRelease;
    case 'failed':
      return EXIT.failed;
  }
}
