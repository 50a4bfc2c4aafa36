/** The words of the workflow that stores slices of the oplog. */
import type { BackupPolicy } from '../../specs/backup.types.ts';
import type { Moment } from './moment.ts';
import type { TimelineEntry } from '../timeline.ts';

/** What one run of the activity did. */
export interface SliceReport {
  /** The moment up to which slices reach. */
  reached: Moment;
  /** There is more to read at once. */
  more: boolean;
  /** `null`: nothing has happened since the slice before. */
  slice: {
    chain: number;
    from: Moment;
    entries: number;
    /** Uncompressed BSON. */
    bytes: number;
    /** Size of the data as it is stored. */
    size: number;
    gap: { after: Moment; reason: string } | null;
  } | null;
}

/** Who let it rest, and why. */
export interface Rest {
  by: string;
  why: string;
}

/** Input of the workflow `oplogSlices`. */
export interface SlicesInput {
  policy: BackupPolicy;
  /** It begins at rest, because its policy is paused. */
  paused: Rest | null;
  /** What a run hands on to the next one of the same workflow. */
  carried: SlicesCarried | null;
}

/** What one run hands on to the next (continue-as-new), so that histories stay short. `size` in bytes. */
export interface SlicesCarried {
  reached: Moment | null;
  chain: number | null;
  stored: number;
  entries: number;
  size: number;
  gaps: NotedGap[];
  problem: { since: string; text: string } | null;
  /** At rest, and the last slice before it is stored. */
  settled: boolean;
  timeline: TimelineEntry[];
  startedAt: string;
}

/** A stretch of time that cannot be restored. */
export interface NotedGap {
  noticedAt: string;
  after: Moment;
  until: Moment;
  reason: string;
}

/** `failing`: slices cannot be stored at the moment, which is tried again and again. */
export type SlicesPhase = 'running' | 'failing' | 'paused' | 'stopped';

/** Answer of the query `status`. */
export interface SlicesStatus {
  id: string;
  run: string;
  policy: string;
  phase: SlicesPhase;
  /** How often, as the policy says. */
  every: string | null;
  /** The moment up to which slices reach: what a lost server would not cost. */
  reached: Moment | null;
  /** The same, ISO 8601. */
  reachedAt: string | null;
  chain: number | null;
  /** Slices that were stored since it began, their entries, and their size. */
  stored: number;
  entries: number;
  size: number;
  /** The last ones. */
  gaps: NotedGap[];
  problem: { since: string; text: string } | null;
  paused: Rest | null;
  timeline: TimelineEntry[];
  startedAt: string;
}
