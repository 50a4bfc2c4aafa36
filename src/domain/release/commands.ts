/** Whether a command can be taken now; the sentence that says why not is what people read in the Temporal UI. */
import { fieldRefusal } from '../sent.ts';
import { refusalOf } from './approvals.ts';
import type { ApproveCommand, PersonCommand, Phase } from './types.ts';
import type { ReleaseRun } from './run.ts';

/** What people can order; each is an Update of the workflow. */
export type Command = 'approve' | 'reject' | 'pause' | 'resume' | 'promote' | 'abort';

/** What a person sends along with a command, besides the gate. */
const SIGNED = '{"by":"your name","why":"your reason"}';
const AT_GATE = '{"gate":"half","revision":"5d9c7b6f4","by":"your name","why":"your reason"}';

/** What each command does, and an example of what to send. */
const WORDS: Record<Command, { does: string; send: string }> = {
  approve: { does: 'Open the gate.', send: AT_GATE },
  reject: { does: 'Refuse at the gate and roll back.', send: AT_GATE },
  pause: { does: 'Stop every clock and every move; guards stay on.', send: SIGNED },
  resume: { does: 'Go on after a pause.', send: '{"by":"your name"}' },
  promote: { does: 'Skip what remains and go to 100 %.', send: SIGNED },
  abort: { does: 'Roll back now.', send: SIGNED },
};

/** How the Temporal UI describes a command beside its name. */
export function describeCommand(command: Command): string {
  const { does, send } = WORDS[command];
  return `${does} ${send}`;
}

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
  const wanted = `send ${WORDS[command].send}`;
  if (typeof sent !== 'object' || sent === null) return `${command} needs an object; ${wanted}`;
  const missing = fieldRefusal(sent, command === 'resume' || command === 'pause' ? ['by'] : ['by', 'why']);
  if (missing) return `${missing}; ${wanted}`;
  const overlong = sent.why === undefined ? null : fieldRefusal({ why: sent.why || '-' }, ['why']);
  if (overlong) return overlong;
  if (command === 'pause' && run.paused) return 'the release is paused already';
  if (command === 'resume' && !run.paused) return `the release is not paused: it is ${where}`;
  const late = run.phase === 'promoting' || run.phase === 'guarding' || run.skipping;
  if (command === 'promote' && (late || run.phase === 'preflight'))
    return `nothing to skip: the release is ${where}`;
  return null;
}
