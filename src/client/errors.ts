/** What can go wrong when a release is asked for something; every message is a sentence for the person who asked. */
import type { Phase } from '../domain/release/types.ts';

/** What programs tell errors apart by; the exit codes of the CLI follow from it. */
export type SlipwayErrorCode =
  | 'unreachable'
  | 'bad-setting'
  | 'no-answer'
  | 'no-release'
  | 'refused'
  | 'another-release'
  | 'key-taken'
  | 'not-set-up'
  | 'forbidden'
  | 'no-policy'
  | 'no-run'
  | 'failed';

/** Base of all errors thrown by {@link SlipwayClient}; `code` is stable, the message is not. */
export class SlipwayError extends Error {
  readonly code: SlipwayErrorCode;

  constructor(code: SlipwayErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** Temporal does not answer at its address. */
export class Unreachable extends SlipwayError {
  readonly address: string;

  constructor(address: string, message: string, options?: ErrorOptions) {
    super('unreachable', message, options);
    this.address = address;
  }
}

/** A setting (environment variable, profile, namespace) is wrong. */
export class BadSetting extends SlipwayError {
  constructor(message: string, options?: ErrorOptions) {
    super('bad-setting', message, options);
  }
}

/** Temporal is there, but no worker took the request within the time given. */
export class NoAnswer extends SlipwayError {
  constructor(message: string, options?: ErrorOptions) {
    super('no-answer', message, options);
  }
}

/** There is no release to speak to. */
export class NoRelease extends SlipwayError {
  readonly namespace: string;
  readonly workload: string;

  constructor(namespace: string, workload: string, message: string) {
    super('no-release', message);
    this.namespace = namespace;
    this.workload = workload;
  }
}

/** The release understood the command and said no; the message is its own sentence. */
export class Refused extends SlipwayError {
  readonly command: string;

  constructor(command: string, message: string, options?: ErrorOptions) {
    super('refused', message, options);
    this.command = command;
  }
}

/** Another release of the workload holds the lock. */
export class AnotherReleaseRunning extends SlipwayError {
  readonly running: { id: string; run: string; image: string; starter: string; phase: Phase | null };

  constructor(running: AnotherReleaseRunning['running'], workload: string) {
    const phase = running.phase === null ? '' : `, now ${running.phase}`;
    super(
      'another-release',
      `${workload} is already being released to ${running.image} (started by ${running.starter}${phase}); ` +
        'wait for it, abort it, or start with --on-conflict queue or supersede',
    );
    this.running = running;
  }
}
