/** What went wrong, told the same way by every command: a line for people, an object for programs, an exit code for both. */
import { CommanderError } from 'commander';
import { EXIT, type ExitCode } from './exit.ts';

/** An error of the command line itself; the message is a sentence that names flag or argument. */
export class Failure extends Error {
  readonly code: string;
  readonly exit: ExitCode;
  readonly details: unknown;

  constructor(code: string, exit: ExitCode, message: string, details?: unknown) {
    super(message);
    this.name = 'Failure';
    this.code = code;
    this.exit = exit;
    this.details = details;
  }
}

/** Bad input on the command line. */
export function badInput(message: string, details?: unknown): Failure {
  return new Failure('bad-input', EXIT.badInput, message, details);
}

/**
 * The value of a flag that must be given. Commander's own check would come before its check for mistyped flags, and
 * `--fiel x` would be told that --file is missing.
 */
export function required<T>(value: T | undefined, flag: string): T {
  if (value === undefined) throw new Failure('usage', EXIT.badInput, `${flag} is missing`);
  return value;
}

interface Explanation {
  code: string;
  /** Without the `slipway: ` in front; more than one line only when there is more than one problem. */
  message: string;
  exit: ExitCode;
  details?: unknown;
}

/** Codes of typed errors that are the caller's input, and those that have an exit code of their own. */
const EXITS: Record<string, ExitCode> = {
  'bad-setting': EXIT.badInput,
  'bad-input': EXIT.badInput,
  'key-taken': EXIT.badInput,
  'another-release': EXIT.otherRelease,
};

/** Errors that have a name of their own, and no code. */
const CODES: Record<string, string> = { KubeError: 'kubernetes', NothingToRestore: 'nothing-to-restore' };

/**
 * Errors are told apart by their `code` or `name`, not by their class: the classes live in modules that load Temporal
 * or zod, and a mistyped flag must not wait for those.
 */
export function explain(error: unknown): Explanation {
  if (error instanceof Failure) {
    const { code, message, exit, details } = error;
    return { code, message, exit, ...(details === undefined ? {} : { details }) };
  }
  if (error instanceof CommanderError) return explainUsage(error);
  if (!(error instanceof Error)) return { code: 'internal', message: String(error), exit: EXIT.failed };
  if (error.name === 'SpecError') {
    const { problems, source } = error as Error & { problems?: unknown; source?: unknown };
    return { code: 'bad-input', message: error.message, exit: EXIT.badInput, details: { source, problems } };
  }
  const code =
    CODES[error.name] ?? ('code' in error && typeof error.code === 'string' ? error.code : 'internal');
  const details = 'running' in error ? { details: { running: error.running } } : {};
  return { code, message: oneLine(error), exit: EXITS[code] ?? EXIT.failed, ...details };
}

function explainUsage(error: CommanderError): Explanation {
  const [first = '', ...rest] = error.message.replace(/^error: /, '').split('\n');
  const hint = rest
    .join(' ')
    .trim()
    .replace(/^\(Did you mean (.*)\?\)$/, 'did you mean $1?');
  const file =
    error.code === 'commander.excessArguments' ? /: (\S+\.(?:ya?ml|json))\.?$/.exec(first)?.[1] : undefined;
  const meant = file === undefined ? hint : `did you mean -f ${file}?`;
  const message = meant === '' ? first : `${first.replace(/\.$/, '')}; ${meant}`;
  return { code: 'usage', message, exit: EXIT.badInput };
}

function oneLine(error: Error): string {
  const text = error.message === '' ? error.name : error.message;
  return text.split('\n')[0]?.trim() ?? text;
}
