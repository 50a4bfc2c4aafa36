/** The ways that releases go in crash tests, and every moment at which the worker dies on them. */
import { NoAnswer } from '../../../src/client.ts';
import type { Outcome } from '../../../src/domain/release/types.ts';
import type { ReleaseBody, Step } from '../../../src/specs/release.types.ts';
import type { Berth } from './berth.ts';
import type { Moment } from './orders.ts';
import { gate, type Vessel } from './vessel.ts';

/** Where a release waits for people or for long enough, so that a worker can be killed there at leisure. */
type Place = 'the bake begins' | 'paused' | 'resumed' | 'the gate opens' | 'the guard begins';

interface Passage {
  vessel: Vessel;
  berth: Berth;
  /** Gives the order to die or to stand still; before the launch, unless the way there passes the same moment earlier. */
  arm: () => Promise<void>;
  /** The release is there, and goes on only after this. */
  at: (place: Place) => Promise<void>;
}

interface Course {
  outcome: Outcome;
  /** Launches the release and does what people do to it. */
  sail: (passage: Passage) => Promise<void>;
}

const ATTEMPTS = 6;
const TAG = 'v1.1.0';
const guarded = (guard: string): Partial<ReleaseBody> => ({ after: { guard } });
const CLIMB: Step[] = [{ weight: 25 }, { bake: '1s' }, { weight: 50 }];

/** Launches, armed from the start. */
async function launch({ vessel, arm }: Passage, steps: Step[], guard: string): Promise<void> {
  await arm();
  await vessel.launch(TAG, steps, guarded(guard));
}

/** A second release waits for the first, which is aborted after `patience`. */
async function standInLine({ vessel, berth, arm }: Passage, patience: () => Promise<void>): Promise<void> {
  await vessel.launch(TAG, [{ weight: 25 }, gate('half')], guarded('1s'));
  await vessel.reaches('awaiting-approval');
  await arm();
  const release = vessel.spec(TAG, CLIMB, guarded('1s'));
  await berth.start({ release, starter: 'second' }, 'queue');
  await patience();
  await insist(() => vessel.abort());
  await vessel.sees(({ starter }) => starter === 'second');
}

/** Says it again while nobody answers, as people do; what is said to a release that has gone on since is not needed. */
async function insist(say: () => Promise<unknown>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await say();
      return;
    } catch (error) {
      const unheard = error instanceof NoAnswer;
      if (!unheard && attempt > 1) return;
      if (!unheard || attempt >= ATTEMPTS) throw error;
    }
  }
}

export const COURSES = {
  /** All the way up by itself. */
  up: {
    outcome: 'promoted',
    sail: (passage) => launch(passage, CLIMB, '1s'),
  },
  /** Up with an approval at the gate. */
  approved: {
    outcome: 'promoted',
    async sail({ vessel, arm, at }) {
      await vessel.launch(TAG, [{ weight: 25 }, { bake: '1s' }, gate('half'), { weight: 50 }], guarded('1s'));
      await vessel.reaches('awaiting-approval');
      await at('the gate opens');
      await arm();
      await insist(() => vessel.approve());
    },
  },
  /** Paused in a bake, resumed, and the rest of the plan skipped. */
  paused: {
    outcome: 'promoted',
    async sail(passage) {
      const { vessel, berth, at } = passage;
      await launch(passage, [{ weight: 25 }, { bake: '10m' }, gate('half')], '1s');
      await vessel.reaches('baking');
      await at('the bake begins');
      await insist(() => berth.client.pause(vessel.target, { by: 'ann', why: 'a look' }));
      await vessel.reaches('paused');
      await at('paused');
      await insist(() => berth.client.resume(vessel.target, { by: 'ann' }));
      await vessel.reaches('baking');
      await at('resumed');
      await insist(() => berth.client.promote(vessel.target, { by: 'ann', why: 'seen enough' }));
    },
  },
  /** A rolling release that nothing holds. */
  rolling: {
    outcome: 'promoted',
    async sail({ vessel, arm }) {
      await arm();
      const strategy = { rolling: { maxSurge: 1, maxUnavailable: 0, pauseAt: [] } };
      await vessel.launch(TAG, [], { strategy, ...guarded('1s') });
    },
  },
  /** Hauled back from where most of stable is gone. */
  back: {
    outcome: 'aborted',
    async sail({ vessel, arm }) {
      await vessel.launch(TAG, [{ weight: 75 }, gate('half')], guarded('1s'));
      await vessel.reaches('awaiting-approval');
      await arm();
      await insist(() => vessel.abort());
    },
  },
  /** Hauled back after 100 %. */
  late: {
    outcome: 'aborted',
    async sail(passage) {
      await launch(passage, [{ weight: 50 }], '10m');
      await passage.vessel.reaches('guarding');
      await passage.at('the guard begins');
      await insist(() => passage.vessel.abort());
    },
  },
  /** Somebody scales just before the first write, which is decided anew then. */
  scaled: {
    outcome: 'promoted',
    async sail({ vessel, berth, arm }) {
      berth.order({ do: 'stand-still', activity: 'begin', moment: 'before-write' });
      await vessel.launch(TAG, CLIMB, guarded('1s'));
      await berth.untilObeyed();
      await vessel.edit({ spec: { replicas: 5 } }, 'kubectl-scale');
      await arm();
      berth.letGo();
    },
  },
  /** Waits in line for a release that ends only when the worker has died. */
  queued: {
    outcome: 'promoted',
    sail: (passage) => standInLine(passage, () => passage.berth.untilObeyed()),
  },
  /** Waits in line for a release that is aborted at once. */
  next: {
    outcome: 'promoted',
    sail: (passage) => standInLine(passage, async () => {}),
  },
} satisfies Record<string, Course>;

interface Death {
  moment: Moment;
  course: keyof typeof COURSES;
  where?: Record<string, unknown>;
  /** From the order to die until it is carried out no pod is let in: what waits for pods cannot end before. */
  becalmed?: true;
}

/** Every activity that a release is made of, and every moment in it that is unlike the others. */
export const DEATHS: Record<string, Death[]> = {
  preflight: [
    { moment: 'begun', course: 'up' },
    { moment: 'done', course: 'up' },
  ],
  begin: [
    { moment: 'before-write', course: 'up' },
    { moment: 'after-write', course: 'up' },
    { moment: 'after-write', course: 'rolling' },
  ],
  observe: [
    { moment: 'begun', course: 'scaled' },
    { moment: 'done', course: 'scaled' },
  ],
  adjust: [
    { moment: 'before-write', course: 'up' },
    { moment: 'after-write', course: 'up' },
  ],
  promote: [
    { moment: 'before-write', course: 'up' },
    { moment: 'after-write', course: 'up' },
    { moment: 'after-write', course: 'rolling' },
  ],
  finish: [
    { moment: 'before-write', course: 'up' },
    { moment: 'after-write', course: 'up' },
  ],
  rollBack: [
    { moment: 'before-write', course: 'back' },
    { moment: 'after-write', course: 'back' },
    { moment: 'before-write', course: 'late' },
    { moment: 'after-write', course: 'late' },
  ],
  watch: [
    { moment: 'begun', course: 'up' },
    { moment: 'waiting', course: 'up', where: { expect: 'held' } },
    { moment: 'done', course: 'up', where: { expect: 'held' } },
    { moment: 'waiting', course: 'up', where: { expect: 'promoted' } },
    { moment: 'waiting', course: 'rolling', where: { expect: 'rolling' } },
    { moment: 'waiting', course: 'back', where: { expect: 'restored' }, becalmed: true },
    { moment: 'done', course: 'back', where: { expect: 'restored' } },
  ],
  awaitRelease: [
    { moment: 'begun', course: 'queued' },
    { moment: 'waiting', course: 'queued' },
    { moment: 'done', course: 'next' },
  ],
};

/** Between two steps: at a place where the release waits, or at what it passes by itself. */
type Boundary = { course: keyof typeof COURSES } & (
  | { title: Place }
  /** What the release says of itself when it is there; it is held there by the activity that comes next. */
  | { title: string; says: string; next: string }
);

export const BOUNDARIES: Boundary[] = [
  { title: 'the first weight begins', course: 'up', says: 'weight 25 %', next: 'begin' },
  { title: 'the bake begins', course: 'paused' },
  { title: 'paused', course: 'paused' },
  { title: 'resumed', course: 'paused' },
  { title: 'the gate opens', course: 'approved' },
  { title: 'the gate is passed', course: 'approved', says: 'weight 50 %', next: 'adjust' },
  { title: 'promotion begins', course: 'approved', says: 'promote to 100 %', next: 'promote' },
  { title: 'the guard begins', course: 'late' },
  { title: 'the rollback begins', course: 'back', says: 'ann aborted', next: 'rollBack' },
];
