// How long it takes from an alert's arrival until the bad version is being taken back, and until it is gone. Real
// gateway, real worker, real Temporal and API server, all of the lab; the pods may be simulated.
import { randomUUID } from 'node:crypto';
import { cpus, loadavg, totalmem } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { LabError, readEnv } from '../lab/index.ts';
import { SlipwayClient } from '../src/client.ts';
import type { Outcome, ReleaseStatus } from '../src/domain/release/types.ts';
import type { Step } from '../src/specs/release.types.ts';
import { type ApiRequest, AuditLog, type RequestCounts } from './release/audit.ts';
import { type Processes, startProcesses } from './release/processes.ts';
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

const WITHIN_MS = 60_000;
const WARM_UP_RUNS = 3;
/** Releases started at once when a crowd is set up. */
const SIDE_BY_SIDE = 8;
const GATE: Step = { gate: { name: 'half', approvals: 1, expires: '1h', fourEyes: false } };
const BAKE: Step = { bake: '1h' };

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
    const bench = new Bench({ env, processes, client, stage, audit, hold: options.hold, say });
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
  env: Record<string, string>;
  processes: Processes;
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
      await eachOf(crowd, SIDE_BY_SIDE, (name) => this.#hold(name));
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
    const { stage, audit } = this.#parts;
    const { run, hash } = await this.#toHold(name, this.#parts.hold === 'gate' ? GATE : BAKE);
    // Alerts do not come in step with what went before.
    await delay(200 + Math.random() * 600);
    const gone = stage.gone(name, hash);
    gone.catch(() => {});
    const sentAt = Date.now();
    await this.#alert({ workload: name });
    const acceptedAt = Date.now();
    const write = await audit.first(`write to ${name}`, this.#isWrite([name], sentAt));
    const goneAt = await gone;
    await this.#ends(name, run, 'rolled-back');
    return {
      firstWrite: write.receivedAt - sentAt,
      canaryGone: goneAt - sentAt,
      accepted: acceptedAt - sentAt,
    };
  }

  async #hold(name: string): Promise<void> {
    await this.#parts.stage.deploy(name);
    await this.#toHold(name, GATE);
  }

  /** What Slipway asks of the API server while nothing happens. */
  async #quiet(crowd: string[], quietMs: number): Promise<Setting['quiet']> {
    const alone = crowd.length === 0 ? await this.#toHold('measured', GATE) : null;
    await delay(3_000);
    const from = Date.now();
    await delay(quietMs);
    const requests = await this.#parts.audit.count(from, from + quietMs);
    if (alone) {
      await this.#alert({ workload: 'measured' });
      await this.#ends('measured', alone.run, 'rolled-back');
    }
    return { seconds: quietMs / 1_000, releases: Math.max(crowd.length, 1), requests };
  }

  /** One alert that names no workload hauls the whole namespace back. */
  async #allAtOnce(crowd: string[]): Promise<NonNullable<Setting['allAtOnce']>> {
    const { audit, client, stage } = this.#parts;
    const sentAt = Date.now();
    await this.#alert({});
    const writes: number[] = [];
    for (const name of crowd) {
      const { receivedAt } = await audit.first(`write to ${name}`, this.#isWrite([name], sentAt));
      writes.push(receivedAt);
    }
    await eachOf(crowd, SIDE_BY_SIDE, async (name) => {
      const { status } = await client.status(stage.namespace, name);
      await this.#ends(name, status.run, 'rolled-back');
    });
    return { releases: crowd.length, lastWrite: Math.max(...writes) - sentAt };
  }

  /** Five steps on four replicas, approved and promoted. */
  async #countRelease(name: string): Promise<RequestCounts> {
    const { client, stage, audit } = this.#parts;
    const target = { namespace: stage.namespace, name };
    const from = Date.now();
    const steps: Step[] = [{ weight: 25 }, { bake: '1s' }, GATE, { weight: 50 }, { bake: '1s' }];
    const run = await this.#start(name, steps);
    const { gate } = await this.#until(name, ({ phase }) => phase === 'awaiting-approval');
    await client.approve(target, {
      gate: gate?.name ?? '',
      revision: gate?.revision ?? '',
      by: 'bench',
      why: 'measured',
    });
    await this.#ends(name, run, 'promoted');
    return await audit.count(from, Date.now());
  }

  async #toHold(name: string, hold: Step): Promise<{ run: string | null; hash: string }> {
    const run = await this.#start(name, [{ weight: 25 }, hold]);
    const phase = 'gate' in hold ? 'awaiting-approval' : 'baking';
    const { canary } = await this.#until(name, (status) => status.phase === phase && status.canary.ready > 0);
    if (!canary.hash) throw new Error(`the canary of ${name} has no hash`);
    return { run, hash: canary.hash };
  }

  async #start(name: string, steps: Step[]): Promise<string | null> {
    const { client, stage } = this.#parts;
    const started = await client.startRelease({
      onConflict: 'fail',
      input: {
        release: {
          apiVersion: 'slipway/v1',
          kind: 'Release',
          metadata: { namespace: stage.namespace, name },
          spec: {
            image: `ecommerce/product-service:${randomUUID()}`,
            reason: 'benchmark',
            strategy: { canary: { steps } },
            guards: {
              alerts: { match: { severity: ['critical'] } },
              pods: { readyWithin: '5m', restarts: 0 },
              deadline: '4h',
            },
            after: { guard: '0s' },
          },
        },
        starter: 'bench',
        key: null,
        dryRun: false,
      },
    });
    return started.run;
  }

  async #until(name: string, done: (status: ReleaseStatus) => boolean): Promise<ReleaseStatus> {
    const { client, stage } = this.#parts;
    const deadline = Date.now() + WITHIN_MS;
    for (;;) {
      const { status } = await client.status(stage.namespace, name);
      if (done(status)) return status;
      if (status.outcome || Date.now() > deadline)
        throw new Error(`${name} is ${status.phase} after ${WITHIN_MS} ms: ${status.reason ?? ''}`);
      await delay(100);
    }
  }

  async #ends(name: string, run: string | null, outcome: Outcome): Promise<void> {
    const { client, stage } = this.#parts;
    const ref = { id: `release.${stage.namespace}.${name}`, run, key: null };
    const view = await client.waitForOutcome(ref, { timeoutMs: WITHIN_MS });
    if (view?.status.outcome === outcome) return;
    throw new Error(
      `${name} ended as ${view?.status.outcome ?? 'nothing'} instead of ${outcome}: ${view?.status.reason ?? ''}`,
    );
  }

  /** As Alertmanager sends it. @throws Error unless the gateway takes it. */
  async #alert(labels: { workload?: string }): Promise<void> {
    const { env, processes, stage } = this.#parts;
    const alert = {
      status: 'firing',
      labels: { alertname: 'HighErrorRate', severity: 'critical', namespace: stage.namespace, ...labels },
      annotations: { summary: 'benchmark' },
      startsAt: new Date().toISOString(),
      endsAt: '0001-01-01T00:00:00Z',
      generatorURL: '',
      fingerprint: randomUUID().slice(0, 16),
    };
    const answer = await fetch(`${processes.gatewayUrl}/v1/alerts`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${env['SLIPWAY_GATEWAY_TOKEN']}`,
      },
      body: JSON.stringify({
        version: '4',
        groupKey: '{}',
        truncatedAlerts: 0,
        status: 'firing',
        receiver: 'slipway',
        groupLabels: {},
        commonLabels: alert.labels,
        commonAnnotations: {},
        externalURL: '',
        alerts: [alert],
      }),
      signal: AbortSignal.timeout(15_000),
    });
    const text = await answer.text();
    if (answer.status !== 200) throw new Error(`the gateway answered ${answer.status}: ${text}`);
  }

  #isWrite(names: string[], since: number): (request: ApiRequest) => boolean {
    const { namespace } = this.#parts.stage;
    return (request) =>
      request.receivedAt >= since &&
      request.verb === 'patch' &&
      request.resource === 'deployments' &&
      request.namespace === namespace &&
      names.includes(request.name);
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
