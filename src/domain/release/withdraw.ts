/** Whether a waiting release can be taken out of its line; the sentence that says why not is read in the Temporal UI. */
import { fieldRefusal } from '../sent.ts';
import type { WithdrawCommand } from './types.ts';

const SEND = '{"id":"the key of the release","by":"your name","why":"your reason"}';

export const describeWithdraw = `Take a waiting release out of the line. ${SEND}`;

/** A waiting release, or one that is just being started. */
interface InLine {
  key: string | null;
  starting: boolean;
}

/** Why a command cannot be taken, `null` when it can. */
export function withdrawRefusal(line: readonly InLine[], sent: WithdrawCommand | undefined): string | null {
  if (typeof sent !== 'object' || sent === null) return `withdraw needs an object; send ${SEND}`;
  const missing = fieldRefusal(sent, ['id', 'by', 'why']);
  if (missing) return `${missing}; send ${SEND}`;
  const found = line.find(({ key }) => key === sent.id);
  if (found?.starting) return `the release with the id "${sent.id}" is being started; abort it there`;
  if (found) return null;
  return `no release with the id "${sent.id}" stands in line; waiting: ${line.map(({ key }) => key).join(', ') || 'none'}`;
}
