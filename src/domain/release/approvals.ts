/** Who may open a gate, and what to tell those who may not. */
import { fieldRefusal } from '../sent.ts';
import type { ApproveCommand, GateStatus } from './types.ts';

/** The gate opens: enough different people, and with four eyes at least one who did not start the release. */
export function isOpen(gate: Omit<GateStatus, 'expires'>, starter: string): boolean {
  const people = gate.approvals.map(({ by }) => by);
  return people.length >= gate.needed && (!gate.fourEyes || people.some((by) => !samePerson(by, starter)));
}

/** Names as people type them: case and surrounding space make nobody another person. */
function samePerson(one: string, other: string): boolean {
  return one.trim().toLowerCase() === other.trim().toLowerCase();
}

/** Why an approval or rejection cannot be taken, in a sentence that says what to send instead; `null` when it can. */
export function refusalOf(
  verb: 'approve' | 'reject',
  command: ApproveCommand | undefined,
  gate: GateStatus | null,
  where: string,
): string | null {
  if (!gate) return `no gate is open: the release is ${where}`;
  const wanted = `send {"gate":"${gate.name}","revision":"${gate.revision}","by":"your name","why":"your reason"}`;
  if (typeof command !== 'object' || command === null) return `${verb} needs an object; ${wanted}`;
  const missing = fieldRefusal(command, ['gate', 'revision', 'by', 'why']);
  if (missing) return `${missing}; ${wanted}`;
  if (command.gate !== gate.name) {
    return `gate "${command.gate}" is not open; open is gate "${gate.name}" of revision ${gate.revision}`;
  }
  if (command.revision !== gate.revision) {
    return `revision ${command.revision} is not the one at gate "${gate.name}"; that is ${gate.revision}`;
  }
  if (verb === 'approve' && gate.approvals.some(({ by }) => samePerson(by, command.by))) {
    return `${command.by.trim()} has approved gate "${gate.name}" already; ${gate.needed - gate.approvals.length} more by others needed`;
  }
  return null;
}
