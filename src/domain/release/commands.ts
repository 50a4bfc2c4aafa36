/** Whether a command can be taken now; the sentence that says why not is what people read in the Temporal UI. */
import { missingField, refusalOf } from './approvals.ts';
import type { ApproveCommand, PersonCommand, Phase } from './types.ts';
import type { ReleaseRun } from './run.ts';

export type Command = 'approve' | 'reject' | 'pause' | 'resume' | 'promote' | 'abort';

/** What a command is for and what to send, as the Temporal UI shows it beside its name. */
export const COMMANDS: Record<Command, string> = {
  approve: 'Open the gate. {"gate":"half","revision":"5d9c7b6f4","by":"you","why":"your reason"}',
  reject:
    'Refuse at the gate and roll back. {"gate":"half","revision":"5d9c7b6f4","by":"you","why":"your reason"}',
  pause: 'Stop every clock and every move; guards stay on. {"by":"you","why":"your reason"}',
  resume: 'Go on after a pause. {"by":"you"}',
  promote: 'Skip what remains and go to 100 %. {"by":"you","why":"your reason"}',
  abort: 'Roll back now. {"by":"you","why":"your reason"}',
};

const WHERE: Partial<Record<Phase, string>> = {
  preflight: 'being checked',
  progressing: 'moving pods',
  'awaiting-approval': 'waiting for approval',
  promoting: 'being promoted',
  guarding: 'at 100 % and guarded',
  'rolling-back': 'being rolled back',
};

/** Why a command cannot be taken, `null` when it can. `now` is in milliseconds. */
export function refusal(
  run: ReleaseRun,
  command: Command,
  sent: ApproveCommand | PersonCommand | undefined,
  now: number,
): string | null {
  const where = WHERE[run.phase] ?? run.phase;
  if (run.outcome) return `the release is over: ${run.outcome}`;
  if (run.stop) return `the release is being rolled back: ${run.stop.reason}`;
  if (command === 'approve' || command === 'reject') {
    return refusalOf(command, sent as ApproveCommand | undefined, run.gate(now), where);
  }
  if (typeof sent !== 'object' || sent === null)
    return `${command} needs an object; for example: ${COMMANDS[command]}`;
  const missing = missingField(sent, command === 'resume' || command === 'pause' ? ['by'] : ['by', 'why']);
  if (missing) return `${missing}; for example: ${COMMANDS[command]}`;
  const overlong = sent.why === undefined ? null : missingField({ why: sent.why || '-' }, ['why']);
  if (overlong) return overlong;
  if (command === 'pause' && run.paused) return 'the release is paused already';
  if (command === 'resume' && !run.paused) return `the release is not paused: it is ${where}`;
  const late = run.phase === 'promoting' || run.phase === 'guarding' || run.skipping;
  if (command === 'promote' && (late || run.phase === 'preflight'))
    return `nothing to skip: the release is ${where}`;
  return null;
}
