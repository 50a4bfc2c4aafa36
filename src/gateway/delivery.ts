/** Hands alerts to the running releases they are about; done only when every one has them durably. */
import type { SlipwayClient } from '../client.ts';
import type { AlertNotice } from '../domain/release/types.ts';
import type { Target } from '../domain/workload/types.ts';
import { Repeats } from './repeats.ts';
import { type LabelNames, targetOf } from './targets.ts';

export type AlertClient = Pick<SlipwayClient, 'signalAlert' | 'runningReleases' | 'runningRun'>;

interface DeliveryResult {
  /** Signals acknowledged. */
  delivered: number;
  /** Alerts that no running release is interested in, or that name no target. */
  unmatched: number;
}

interface DeliveryOptions {
  labels: LabelNames;
  /** Signals under way at once, over all requests of the process. */
  parallel: number;
  /** Milliseconds for one request; an Alertmanager gives up later than this. */
  withinMs: number;
}

/** The time for one request is over; what was not acknowledged will be sent again with the retry. */
export class DeliveryTimeout extends Error {}

interface Signal {
  /** Identity of the workload and of what happened to it. */
  key: string;
  target: Target;
  alert: AlertNotice;
}

export class Delivery {
  readonly #client: AlertClient;
  readonly #options: DeliveryOptions;
  readonly #slots: Slots;
  readonly #repeats = new Repeats();

  constructor(client: AlertClient, options: DeliveryOptions) {
    this.#client = client;
    this.#options = options;
    this.#slots = new Slots(options.parallel);
  }

  /** Rejects when any signal was not acknowledged in time; nothing is lost by trying the whole request again. */
  async deliver(alerts: readonly AlertNotice[]): Promise<DeliveryResult> {
    const deadline = new Deadline(this.#options.withinMs);
    try {
      return await Promise.race([this.#deliverAll(alerts, deadline), deadline.over]);
    } finally {
      deadline.clear();
    }
  }

  async #deliverAll(alerts: readonly AlertNotice[], deadline: Deadline): Promise<DeliveryResult> {
    const { signals, unmatched } = await this.#plan(alerts);
    const results = await Promise.allSettled(
      // Each time in another order: what one request did not come to in its time is not always what the next does not.
      shuffled(signals).map((signal) =>
        this.#slots.use(async () => {
          // A request that was given up must not go on working through its list.
          if (deadline.passed) throw new DeliveryTimeout();
          return await this.#tell(signal);
        }),
      ),
    );
    const failure = results.find((result) => result.status === 'rejected');
    if (failure) throw failure.reason;
    const delivered = results.filter((result) => result.status === 'fulfilled' && result.value).length;
    return { delivered, unmatched: unmatched + signals.length - delivered };
  }

  #tell({ key, target, alert }: Signal): Promise<boolean> {
    return this.#repeats.once(
      key,
      () => this.#client.runningRun(target),
      () => this.#client.signalAlert(target, alert),
    );
  }

  async #plan(alerts: readonly AlertNotice[]): Promise<{ signals: Signal[]; unmatched: number }> {
    const signals = new Map<string, Signal>();
    const add = (target: Target, alert: AlertNotice): void => {
      // Two HA peers' copies in one group, or a template that repeats alerts: once is enough.
      const { fingerprint, status, startsAt } = alert;
      const key = JSON.stringify([target.namespace, target.name, fingerprint, status, startsAt]);
      signals.set(key, { key, target, alert });
    };
    const running = new Map<string, Promise<Target[]>>();
    let unmatched = 0;
    for (const alert of alerts) {
      const target = targetOf(alert, this.#options.labels);
      if (target.kind === 'none') unmatched += 1;
      if (target.kind === 'workload') add({ namespace: target.namespace, name: target.name }, alert);
      if (target.kind === 'namespace') {
        const listed = running.get(target.namespace) ?? this.#running(target.namespace);
        running.set(target.namespace, listed);
        const targets = await listed;
        if (targets.length === 0) unmatched += 1;
        for (const each of targets) add(each, alert);
      }
    }
    return { signals: [...signals.values()], unmatched };
  }

  async #running(namespace: string): Promise<Target[]> {
    const releases = await this.#client.runningReleases({ namespace });
    return releases.map(({ workload }) => ({ namespace, name: workload }));
  }
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

/** At most so many at once; the others wait in order. */
class Slots {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(count: number) {
    this.#free = count;
  }

  async use<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resume) => this.#waiting.push(resume));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }
}

class Deadline {
  readonly over: Promise<never>;
  passed = false;
  readonly #timer: NodeJS.Timeout;

  constructor(ms: number) {
    const { promise, reject } = Promise.withResolvers<never>();
    this.over = promise;
    this.over.catch(() => undefined);
    this.#timer = setTimeout(() => {
      this.passed = true;
      reject(new DeliveryTimeout(`not every alert was acknowledged within ${ms / 1_000} s`));
    }, ms);
  }

  clear(): void {
    clearTimeout(this.#timer);
  }
}
