/**
 * How a test tells a worker where to die or to stand still: one file in a folder that both know. An order is carried
 * out by one worker, and what became of it is a file too, so that it outlives the worker.
 */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * `begun`: before the activity does anything; `waiting`: in the midst of it; `before-write` and `after-write`: on either
 * side of its PATCH at the API server; `done`: its work is done and nobody has heard of it yet.
 */
export type Moment = 'begun' | 'waiting' | 'before-write' | 'after-write' | 'done';

export interface Order {
  do: 'die' | 'stand-still';
  activity: string;
  moment: Moment;
  /** Fields that the activity's input must have. */
  where?: Record<string, unknown>;
}

/** How long `waiting` lets an activity go on first. */
export const IN_THE_MIDST_MS = 30;
const LOOK_MS = 20;

const fileOf = (folder: string, name: 'order' | 'obeyed' | 'go'): string => join(folder, `${name}.json`);

/** The test's side. */
export function give(folder: string, order: Order): void {
  for (const name of ['obeyed', 'go'] as const) rmSync(fileOf(folder, name), { force: true });
  const draft = join(folder, 'draft.json');
  writeFileSync(draft, JSON.stringify(order));
  renameSync(draft, fileOf(folder, 'order'));
}

export function obeyed(folder: string): boolean {
  return existsSync(fileOf(folder, 'obeyed'));
}

/** Ends standing still. */
export function letGo(folder: string): void {
  writeFileSync(fileOf(folder, 'go'), '');
}

/** What this worker stands still at: a further attempt stands still too, however early Temporal gave the first one up. */
let standing: Order | null = null;

/** The worker's side: carries the order out if it is about this point. */
export async function obey(
  folder: string,
  activity: string,
  moment: Moment,
  input: Record<string, unknown> = {},
): Promise<void> {
  const meant = (order: Order | null): order is Order =>
    order?.activity === activity &&
    order.moment === moment &&
    Object.entries(order.where ?? {}).every(([field, value]) => input[field] === value);
  if (!meant(standing)) {
    const order = orderIn(folder);
    if (!meant(order)) return;
    try {
      renameSync(fileOf(folder, 'order'), fileOf(folder, 'obeyed'));
    } catch {
      // Another activity of this worker was there first.
      return;
    }
    if (order.do === 'die') process.kill(process.pid, 'SIGKILL');
    standing = order;
  }
  while (!existsSync(fileOf(folder, 'go'))) await delay(LOOK_MS);
  standing = null;
}

function orderIn(folder: string): Order | null {
  try {
    return JSON.parse(readFileSync(fileOf(folder, 'order'), 'utf8')) as Order;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
