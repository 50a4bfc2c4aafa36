/** The ways that releases go in crash tests, and every moment at which the worker dies on them. */
import { NoAnswer } from '../../../src/client.ts';
import type { Outcome, ReleaseStatus } from '../../../src/domain/release/types.ts';
import type { ReleaseBody, Step } from '../../../src/specs/release.types.ts';
import type { Berth } from './berth.ts';
import type { Moment } from './orders.ts';
import { gate, type Vessel } from './vessel.ts';

interface Passage {
  vessel: Vessel;
  berth: Berth;
  /** Gives the order to die; before the launch, unless the way there passes the same moment earlier. */
  arm: () => void;
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
  arm();
  await vessel.launch(TAG, steps, guarded(guard));
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
    async sail(passage) {
      await launch(passage, [{ weight: 25 }, { bake: '1s' }, gate('half'), { weight: 50 }], '4s');
      await insist(() => passage.vessel.approve());
    },
  },
  /** Paused in a bake, resumed, and the rest of the plan skipped. */
  paused: {
    outcome: 'promoted',
    async sail(passage) {
      const { vessel, berth } = passage;
      await launch(passage, [{ weight: 25 }, { bake: '10m' }, gate('half')], '1s');
      await vessel.reaches('baking');
      await insist(() => berth.client.pause(vessel.target, { by: 'ann', why: 'a look' }));
      await vessel.reaches('paused');
      await insist(() => berth.client.resume(vessel.target, { by: 'ann' }));
      await vessel.reaches('baking');
      await insist(() => berth.client.promote(vessel.target, { by: 'ann', why: 'seen enough' }));
    },
  },
  /** A rolling release that nothing holds. */
  rolling: {
    outcome: 'promoted',
    async sail({ vessel, arm }) {
      arm();
      const strategy = { rolling: { maxSurge: 1, maxUnavailable: 0, pauseAt: [] } };
      await vessel.launch(TAG, [], { strategy, ...guarded('1s') });
    },
  },
  /** Hauled back from where most of stable is gone. */
  back: {
    outcome: 'aborted',
    async sail(passage) {
      await launch(passage, [{ weight: 75 }, gate('half')], '1s');
      await passage.vessel.reaches('awaiting-approval');
      await insist(() => passage.vessel.abort());
    },
  },
  /** Hauled back after 100 %. */
  late: {
    outcome: 'aborted',
    async sail(passage) {
      await launch(passage, [{ weight: 50 }], '10m');
      await passage.vessel.reaches('guarding');
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
      arm();
      berth.letGo();
    },
  },
  /** Waits in line for a release that is aborted. */
  queued: {
    outcome: 'promoted',
    async sail({ vessel, berth, arm }) {
      await vessel.launch(TAG, [{ weight: 25 }, gate('half')], guarded('1s'));
      await vessel.reaches('awaiting-approval');
      arm();
      const release = vessel.spec(TAG, CLIMB, guarded('1s'));
      await berth.start({ release, starter: 'second' }, 'queue');
      await insist(() => vessel.abort());
      await vessel.sees(({ starter }) => starter === 'second');
    },
  },
} satisfies Record<string, Course>;

interface Death {
  moment: Moment;
  course: keyof typeof COURSES;
  where?: Record<string, unknown>;
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
    { moment: 'waiting', course: 'back', where: { expect: 'restored' } },
    { moment: 'done', course: 'back', where: { expect: 'restored' } },
  ],
  awaitRelease: [
    { moment: 'begun', course: 'queued' },
    { moment: 'waiting', course: 'queued' },
    { moment: 'done', course: 'queued' },
  ],
};

interface Boundary {
  title: string;
  course: keyof typeof COURSES;
  at: (status: ReleaseStatus) => boolean;
}

const said = (start: string) => (status: ReleaseStatus) =>
  status.timeline.some(({ text }) => text.startsWith(start));

/** The worker dies as soon as the release says that it has come there. */
export const BOUNDARIES: Boundary[] = [
  { title: 'the first weight begins', course: 'approved', at: said('weight 25 %') },
  { title: 'the bake begins', course: 'approved', at: said('bake 1s') },
  { title: 'paused', course: 'paused', at: said('ann paused') },
  { title: 'resumed', course: 'paused', at: said('ann resumed') },
  { title: 'the gate opens', course: 'approved', at: said('gate half') },
  { title: 'the gate is passed', course: 'approved', at: said('weight 50 %') },
  { title: 'promotion begins', course: 'approved', at: said('promote to 100 %') },
  { title: 'the guard begins', course: 'approved', at: said('at 100 %, guarded') },
  { title: 'the rollback begins', course: 'back', at: said('ann aborted') },
];
