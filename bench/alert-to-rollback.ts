// How long it takes from an alert's arrival until the bad version is being taken back, and until it is gone. Real
// gateway, real worker, real Temporal and API server, all of the lab; the pods may be simulated.
import { cpus, loadavg, totalmem } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { LabError, readEnv } from '../lab/index.ts';
import { SlipwayClient } from '../src/client.ts';
import type { Step } from '../src/specs/release.types.ts';
import { AuditLog, type RequestCounts } from './release/audit.ts';
import { BAKE, Fleet, GATE } from './release/fleet.ts';
import { startProcesses } from './release/processes.ts';
import { PUBLISHED, type Report, type Setting } from './release/report.ts';
import { Stage } from './release/stage.ts';
import { spreadOf } from './release/statistics.ts';

export interface AlertToRollbackOptions {
  runs: number;
  /** Other releases at gates in a second setting; 0 for none. */
  waiting: number;
  hold: 'gate' | 'bake';
  /** How long requests are counted while nothing happens, in milliseconds. */
  quietMs: number;
}

const WARM_UP_RUNS = 3;
/** Releases started at once when a crowd is set up. */
const SIDE_BY_SIDE = 8;

/** Runs the benchmark on the lab of SLIPWAY_LAB_DIR. @throws LabError when it is not up. */
export async function alertToRollback(
  options: AlertToRollbackOptions,
  say: (line: string) => void,
): Promise<Report> {
  const env = readEnv();
  const log = env?.['SLIPWAY_AUDIT_LOG'];
  if (!env || !log) throw new LabError('the lab is not up: run "npm run lab -- up --nodes simulated"');
  const loadBefore = load();
  say('starting worker and gateway');
  const processes = await startProcesses(env);
  let stage: Stage | null = null;
  const client = SlipwayClient.lazy({ env });
  try {
    stage = await Stage.open(env['KUBECONFIG'] ?? '');
    const audit = await AuditLog.follow(log);
    const gateway = { url: processes.gatewayUrl, token: env['SLIPWAY_GATEWAY_TOKEN'] ?? '' };
    const fleet = new Fleet(client, stage, gateway);
    const bench = new Bench({ fleet, client, stage, audit, hold: options.hold, say });
    const { perRelease, settings } = await bench.measure(options);
    return {
      benchmark: 'alert-to-rollback',
      hold: options.hold,
      machine: { ...machine(), loadBefore, loadAfter: load() },
      nodes: env['SLIPWAY_LAB_NODES'] ?? '',
      perRelease,
      settings,
      published: PUBLISHED,
    };
  } finally {
    await stage?.close().catch((error: unknown) => say(`the namespace is left behind: ${String(error)}`));
    await client.close();
    await processes.stop();
  }
}

interface Parts {
  fleet: Fleet;
  client: SlipwayClient;
  stage: Stage;
  audit: AuditLog;
  hold: 'gate' | 'bake';
  say: (line: string) => void;
}

interface Sample {
  firstWrite: number;
  canaryGone: number;
  accepted: number;
}

class Bench {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async measure(
    options: AlertToRollbackOptions,
  ): Promise<{ perRelease: RequestCounts; settings: Setting[] }> {
    const { stage, say } = this.#parts;
    await stage.deploy('measured');
    say('counting the requests of one whole release');
    const perRelease = await this.#countRelease('measured');
    for (let run = 0; run < WARM_UP_RUNS; run++) await this.#run('measured');
    const settings = [await this.#setting([], options)];
    if (options.waiting > 0) {
      const crowd = Array.from({ length: options.waiting }, (_, nth) => `waiting-${nth}`);
      say(`bringing ${crowd.length} other releases to their gates`);
      await eachOf(crowd, SIDE_BY_SIDE, (name) => this.#waits(name));
      settings.push(await this.#setting(crowd, options));
    }
    return { perRelease, settings };
  }

  async #setting(crowd: string[], { runs, quietMs }: AlertToRollbackOptions): Promise<Setting> {
    const { say } = this.#parts;
    const samples: Sample[] = [];
    for (let run = 1; run <= runs; run++) {
      samples.push(await this.#run('measured'));
      if (run % 10 === 0) say(`${crowd.length} waiting: ${run} of ${runs} runs`);
    }
    const quiet = await this.#quiet(crowd, quietMs);
    const allAtOnce = crowd.length > 0 ? await this.#allAtOnce(crowd) : null;
    const of = (key: keyof Sample): number[] => samples.map((sample) => sample[key]);
    const each = {
      firstWrite: of('firstWrite'),
      canaryGone: of('canaryGone'),
      accepted: of('accepted'),
    };
    return {
      waiting: crowd.length,
      firstWrite: spreadOf(each.firstWrite),
      canaryGone: spreadOf(each.canaryGone),
      accepted: spreadOf(each.accepted),
      samples: each,
      quiet,
      allAtOnce,
    };
  }

  /** One release, brought to its hold and hauled back by an alert. */
  async #run(name: string): Promise<Sample> {
    const { fleet, stage, audit } = this.#parts;
    const { run, hash } = await fleet.toHold(name, this.#parts.hold === 'gate' ? GATE : BAKE);
    // Alerts do not come in step with what went before.
    await delay(200 + Math.random() * 600);
    const gone = stage.gone(name, hash);
    gone.catch(() => {});
    const sentAt = Date.now();
    await fleet.alert({ workload: name });
    const acceptedAt = Date.now();
    const write = await audit.first(`write to ${name}`, fleet.isWrite([name], sentAt));
    const goneAt = await gone;
    await fleet.ends(name, run, 'rolled-back');
    return {
      firstWrite: write.receivedAt - sentAt,
      canaryGone: goneAt - sentAt,
      accepted: acceptedAt - sentAt,
    };
  }

  async #waits(name: string): Promise<void> {
    await this.#parts.stage.deploy(name);
    await this.#parts.fleet.toHold(name, GATE);
  }

  /** What Slipway asks of the API server while nothing happens. */
  async #quiet(crowd: string[], quietMs: number): Promise<Setting['quiet']> {
    const { fleet } = this.#parts;
    const alone = crowd.length === 0 ? await fleet.toHold('measured', GATE) : null;
    await delay(3_000);
    const from = Date.now();
    await delay(quietMs);
    const requests = await this.#parts.audit.count(from, from + quietMs);
    if (alone) {
      await fleet.alert({ workload: 'measured' });
      await fleet.ends('measured', alone.run, 'rolled-back');
    }
    return { seconds: quietMs / 1_000, releases: Math.max(crowd.length, 1), requests };
  }

  /** One alert that names no workload hauls the whole namespace back. */
  async #allAtOnce(crowd: string[]): Promise<NonNullable<Setting['allAtOnce']>> {
    const { fleet, audit, client, stage } = this.#parts;
    const sentAt = Date.now();
    await fleet.alert({});
    const writes: number[] = [];
    for (const name of crowd) {
      const { receivedAt } = await audit.first(`write to ${name}`, fleet.isWrite([name], sentAt));
      writes.push(receivedAt);
    }
    await eachOf(crowd, SIDE_BY_SIDE, async (name) => {
      const { status } = await client.status(stage.namespace, name);
      await fleet.ends(name, status.run, 'rolled-back');
    });
    return { releases: crowd.length, lastWrite: Math.max(...writes) - sentAt };
  }

  /** Five steps on four replicas, approved and promoted. */
  async #countRelease(name: string): Promise<RequestCounts> {
    const { fleet, client, stage, audit } = this.#parts;
    const target = { namespace: stage.namespace, name };
    const from = Date.now();
    const steps: Step[] = [{ weight: 25 }, { bake: '1s' }, GATE, { weight: 50 }, { bake: '1s' }];
    const run = await fleet.start(name, steps);
    const { gate } = await fleet.until(name, ({ phase }) => phase === 'awaiting-approval');
    await client.approve(target, {
      gate: gate?.name ?? '',
      revision: gate?.revision ?? '',
      by: 'bench',
      why: 'measured',
    });
    await fleet.ends(name, run, 'promoted');
    return await audit.count(from, Date.now());
  }
}

/** Does the work for each item, a few at a time. */
async function eachOf<T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const left = [...items];
  const lane = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}

function machine() {
  return {
    cpus: cpus().length,
    model: cpus()[0]?.model ?? 'unknown',
    memoryGb: Math.round(totalmem() / 1e9),
  };
}

function load(): number {
  return Number((loadavg()[0] ?? 0).toFixed(1));
}
