// Runs steps side by side, each as soon as those it names are done, and shows how far they are.
import process from 'node:process';
import { messageOf } from './errors.ts';

export interface Step {
  name: string;
  after: readonly string[];
  /** `tell` replaces the line of what is being done. */
  run(tell: (what: string) => void): Promise<void>;
}

/** How progress is shown: nothing, plain lines, or a live list on a terminal. */
export type Progress = 'none' | 'lines' | 'list';

export const defaultProgress = (): Progress => (process.stderr.isTTY ? 'list' : 'lines');

/**
 * Runs all steps. When one fails, those behind it are not started and the error names every one that failed itself.
 * @throws Error when a step names an unknown one, or when a step failed.
 */
export async function runSteps(title: string, steps: readonly Step[], progress: Progress): Promise<void> {
  const names = new Set(steps.map(({ name }) => name));
  for (const { name, after } of steps) {
    const unknown = after.find((each) => !names.has(each));
    if (unknown) throw new Error(`step ${name} waits for ${unknown}, which is not there`);
  }
  if (progress === 'list') return runAsList(steps);
  const started = Date.now();
  const say = (text: string) => {
    if (progress === 'lines')
      process.stderr.write(`${((Date.now() - started) / 1000).toFixed(1).padStart(6)} s  ${text}\n`);
  };
  say(title);
  const runs = schedule(steps, async (step) => {
    await step.run((what) => say(`${step.name}: ${what}`));
    say(`${step.name}: done`);
  });
  await settle(runs);
}

class Skipped extends Error {}

function schedule(steps: readonly Step[], work: (step: Step) => Promise<void>): Map<string, Promise<void>> {
  const runs = new Map<string, Promise<void>>();
  const start = (step: Step): Promise<void> => {
    const known = runs.get(step.name);
    if (known) return known;
    const before = step.after.map((name) => start(steps.find((each) => each.name === name) as Step));
    const run = Promise.allSettled(before).then((results) => {
      if (results.some(({ status }) => status === 'rejected')) throw new Skipped();
      return work(step);
    });
    runs.set(step.name, run);
    return run;
  };
  for (const step of steps) void start(step);
  return runs;
}

async function settle(runs: ReadonlyMap<string, Promise<void>>): Promise<void> {
  const results = await Promise.allSettled(runs.values());
  const failures = results.flatMap((result) =>
    result.status === 'rejected' && !(result.reason instanceof Skipped) ? [result.reason as unknown] : [],
  );
  if (failures.length === 1) throw failures[0];
  if (failures.length > 1) throw new Error(failures.map(messageOf).join('\n'), { cause: failures[0] });
}

async function runAsList(steps: readonly Step[]): Promise<void> {
  const { Listr, PRESET_TIMER } = await import('listr2');
  const tellers = new Map<string, (what: string) => void>();
  const begin = Promise.withResolvers<void>();
  const runs = new Map<string, Promise<void>>();
  const gate = begin.promise.then(() => {
    const scheduled = schedule(steps, (step) => step.run((what) => tellers.get(step.name)?.(what)));
    for (const [name, run] of scheduled) runs.set(name, run);
  });
  const list = new Listr(
    steps.map((step) => ({
      title: step.name,
      task: async (_: unknown, task: { output: string; skip(text?: string): void }) => {
        tellers.set(step.name, (what) => {
          task.output = what;
        });
        await gate;
        try {
          await runs.get(step.name);
        } catch (error) {
          if (!(error instanceof Skipped)) throw error;
          task.skip('not started');
        }
      },
    })),
    { concurrent: true, exitOnError: false, rendererOptions: { timer: PRESET_TIMER } },
  );
  begin.resolve();
  await list.run();
  await settle(runs);
}
