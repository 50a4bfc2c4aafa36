/** `release status`, `watch` and `history`. */
import { withClient } from '../connect.ts';
import { type Format, printData } from '../output.ts';
import { renderHistory } from '../render/lists.ts';
import { renderStatus } from '../render/status.ts';
import type { ConnectFlags, Session } from '../session.ts';
import { parseTarget } from '../target.ts';
import { follow } from './follow.ts';

export interface StatusFlags extends ConnectFlags {
  namespace?: string;
  output?: Format;
}

export interface WatchFlags extends StatusFlags {
  /** Milliseconds. */
  timeout?: number;
}

export interface HistoryFlags extends StatusFlags {
  limit: number;
}

export async function status(session: Session, text: string, flags: StatusFlags): Promise<void> {
  const { namespace, name } = parseTarget(text, flags.namespace);
  await withClient(session, flags, async (client) => {
    const [view, inLine] = await Promise.all([
      client.status(namespace, name),
      client.waiting(namespace, name),
    ]);
    const waiting = inLine ?? [];
    const url = client.workflowUrl(view.status.id, view.status.run);
    const { note, source, execution } = view;
    if (await printData(session, flags.output, { ...view.status, waiting, url, note, source, execution }))
      return;
    if (flags.output === 'name') session.out(`${namespace}/${name}`);
    else {
      const { colors } = session;
      const lines = renderStatus(view.status, { colors, now: session.now(), url, note, waiting });
      for (const line of lines) session.out(line);
    }
  });
}

/** Returns the exit code. A release that has ended is reported at once. */
export async function watch(session: Session, text: string, flags: WatchFlags): Promise<number> {
  const { namespace, name } = parseTarget(text, flags.namespace);
  return await withClient(session, flags, async (client) => {
    const { status: now } = await client.status(namespace, name);
    const ref = { id: now.id, run: now.run, key: now.key };
    return await follow(session, client, ref, {
      target: `${namespace}/${name}`,
      timeoutMs: flags.timeout,
      output: flags.output,
    });
  });
}

export async function history(session: Session, text: string, flags: HistoryFlags): Promise<void> {
  const { namespace, name } = parseTarget(text, flags.namespace);
  await withClient(session, flags, async (client) => {
    const past = await client.history(namespace, name, flags.limit);
    if (await printData(session, flags.output, past)) return;
    if (past.length === 0) session.err(`There is no release of ${namespace}/${name}.`);
    const wide = flags.output === 'wide';
    for (const line of renderHistory(past, { colors: session.colors, wide })) session.out(line);
  });
}
