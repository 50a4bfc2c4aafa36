/** The process that runs workflows and activities. */
import { existsSync } from 'node:fs';
import { extname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { NativeConnection, Worker, WorkflowBundleOption } from '@temporalio/worker';
import { Registry } from 'prom-client';
import { backupMetrics } from './activities/backup/metrics.ts';
import { createBackupActivities } from './activities/backup/backup.ts';
import { surveyor } from './activities/backup/survey.ts';
import { createQueueActivities } from './activities/release/queue.ts';
import { createReleaseActivities } from './activities/release/release.ts';
import { type ConnectSettings, connectSettings, messageOf } from './client/connection.ts';
import { BadSetting, SlipwayClient, SlipwayError, Unreachable } from './client.ts';
import { type Kube, openKube } from './kubernetes/kube.ts';
import { type HttpServer, type Reply, serve } from './observability/http.ts';
import { createLogger, type Logger } from './observability/logging.ts';
import { runMain, stopRequest } from './observability/process.ts';
import type { Environment } from './observability/settings.ts';
import { VERSION } from './version.ts';
import { connectWorker } from './worker/connection.ts';
import { workerMetrics } from './worker/metrics.ts';
import { watchPolicies } from './worker/policy-watch.ts';
import { type CoreMetrics, installRuntime } from './worker/runtime.ts';
import { type WorkerSettings, workerSettings } from './worker/settings.ts';
import { createWorkers } from './worker/workers.ts';

/** Probes and scrapes under way at shutdown. */
const HTTP_DRAIN_MS = 1_000;

interface RunWorkerOptions {
  /** Environment to read; the process's own by default. */
  env?: Environment;
  /** Temporal profile, see SlipwayClient. */
  profile?: string;
  logger?: Logger;
  /** Stops the worker like SIGTERM does. */
  signal?: AbortSignal;
  /** Instead of the activities on the cluster that KUBECONFIG or the pod names. */
  activities?: object;
  /** Instead of the bundle beside this file or the sources. */
  workflowBundle?: WorkflowBundleOption;
  /** Only for tests: a bug in workflow code fails the workflow instead of its task being retried for ever. */
  failOnBugs?: boolean;
  /** Called once when the worker polls; `url` serves /metrics, /healthz and /readyz. */
  onReady?: (ready: { url: string | null }) => void;
}

/**
 * Runs until the process is told to stop, then drains. Throws `BadSetting`, and `SlipwayError` when Temporal's namespace
 * cannot be used; a Temporal server that is away is waited for.
 */
export async function runWorker(options: RunWorkerOptions = {}): Promise<void> {
  const env = options.env ?? process.env;
  const logger = options.logger ?? createLogger({ component: 'worker', env });
  const settings = workerSettings(env);
  const temporal = connectSettings({
    env,
    ...(options.profile === undefined ? {} : { profile: options.profile }),
  });
  const stopping = new AbortController();
  const stop = stopRequest(options.signal);
  const stopped = stop.asked.then((asked) => {
    logger.info({ asked }, 'worker drains');
    stopping.abort();
  });
  const runtime = await installRuntime(logger, settings.listen !== null);
  const state: State = { workers: [], reason: `waiting for Temporal at ${temporal.address}` };
  const registry = new Registry();
  let http: HttpServer | null = null;
  try {
    http = await listen(settings, state, runtime.metrics, logger, registry);
    await live({
      options,
      env,
      logger,
      settings,
      temporal,
      stopped,
      signal: stopping.signal,
      state,
      registry,
      url: http?.url ?? null,
    });
  } catch (error) {
    // Being told to stop while still waiting for the server is a normal end.
    if (!stopping.signal.aborted) throw error;
    logger.debug({ error }, 'stopped before the worker ran');
  } finally {
    stop.dispose();
    await http?.close(HTTP_DRAIN_MS);
    await runtime.shutdown();
  }
  logger.info('worker stopped');
}

interface State {
  workers: readonly Worker[];
  /** Why the worker is not ready; `null` when it is. */
  reason: string | null;
}

interface Life {
  options: RunWorkerOptions;
  env: Environment;
  logger: Logger;
  settings: WorkerSettings;
  temporal: ConnectSettings;
  stopped: Promise<void>;
  signal: AbortSignal;
  state: State;
  /** Metrics of activities. */
  registry: Registry;
  url: string | null;
}

async function live(life: Life): Promise<void> {
  const { options, env, logger, settings, temporal, state, signal, registry } = life;
  // A worker that only makes backups needs no cluster.
  const cluster = options.activities || env['SLIPWAY_KUBERNETES'] === 'off' ? null : await clusterOf(env);
  let connection: NativeConnection | null = null;
  const ended = new AbortController();
  let watch: Promise<void> | undefined;
  try {
    connection = await connectWorker(temporal, logger, signal);
    // First, since workers that were created and may not run are hard to get rid of.
    await prepareNamespace(life);
    const metrics = backupMetrics(registry);
    const source = { env, kube: cluster?.client ?? null };
    const workers = await createWorkers({
      connection,
      namespace: temporal.namespace,
      settings,
      workflows: workflowsOf(options),
      activities: options.activities ?? {
        ...createQueueActivities(),
        ...(cluster && createReleaseActivities({ kube: cluster })),
        ...createBackupActivities({
          ...source,
          version: VERSION,
          engine: fileURLToPath(new URL(`engine${extname(import.meta.url)}`, import.meta.url)),
          metrics,
        }),
      },
      failOnBugs: options.failOnBugs ?? false,
    });
    state.workers = workers;
    // Where nobody reads metrics, nobody need keep them.
    if (life.url !== null && !options.activities)
      watch = watchPolicies({
        client: lazyClient(life),
        survey: surveyor(source),
        metrics,
        logger,
        signal: AbortSignal.any([signal, ended.signal]),
      });
    await poll(workers, life);
  } finally {
    ended.abort();
    await watch;
    await connection?.close();
    cluster?.close();
  }
}

/** Runs the workers until they are told to stop; one that fails takes the other with it, so that the process is restarted. */
async function poll(
  workers: readonly Worker[],
  { state, stopped, logger, options, temporal, url }: Life,
): Promise<void> {
  const shutdown = (): void => {
    state.reason = 'draining';
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
  };
  const running = workers.map((worker) => worker.run().finally(shutdown));
  void stopped.then(shutdown);
  state.reason = null;
  logger.info(
    {
      temporal: temporal.address,
      namespace: temporal.namespace,
      metrics: url,
      startMs: Math.round(performance.now()),
      rssMb: Math.round(process.memoryUsage().rss / 1e6),
    },
    'worker runs',
  );
  options.onReady?.({ url });
  const results = await Promise.allSettled(running);
  for (const result of results) {
    if (result.status !== 'rejected') continue;
    const { name } = result.reason as Error;
    if (name !== 'GracefulShutdownPeriodExpiredError') throw result.reason;
    logger.warn('an activity did not end in time; it will be retried elsewhere after its heartbeat timeout');
  }
}

/** Search attributes and retention; a worker that may not register them still runs, where somebody else has done it. */
async function prepareNamespace(life: Life): Promise<void> {
  const { logger, settings, signal } = life;
  const client = lazyClient(life);
  try {
    const { added, retention } = await untilReachable(
      () => client.setup({ retention: settings.retention }),
      signal,
    );
    if (added.length > 0 || retention) logger.info({ added, retention }, "Temporal's namespace was set up");
  } catch (error) {
    if (!(error instanceof SlipwayError) || error.code !== 'forbidden') throw error;
    logger.warn(
      { reason: error.message },
      "the namespace could not be set up by this worker; run `slipway setup` with an operator's credentials",
    );
  } finally {
    await client.close();
  }
}

function lazyClient({ env, options }: Life): SlipwayClient {
  return SlipwayClient.lazy({ env, ...(options.profile === undefined ? {} : { profile: options.profile }) });
}

/** A server that was there a moment ago may be restarting. */
async function untilReachable<T>(call: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      await delay(1_000, undefined, { signal });
    }
  }
}

async function clusterOf(env: Environment): Promise<Kube> {
  try {
    // The process's own variable may hold a list of files, which only the default loading merges.
    const own = env['KUBECONFIG'] === process.env['KUBECONFIG'];
    return await openKube(env['KUBECONFIG'] && !own ? { kubeconfig: env['KUBECONFIG'] } : {});
  } catch (error) {
    throw new BadSetting(`KUBECONFIG: ${messageOf(error)}`, { cause: error });
  }
}

function workflowsOf(options: RunWorkerOptions) {
  if (options.workflowBundle) return { workflowBundle: options.workflowBundle };
  const built = fileURLToPath(new URL('./workflow-bundle.js', import.meta.url));
  if (existsSync(built)) return { workflowBundle: { codePath: built } };
  return { workflowsPath: fileURLToPath(new URL('./workflows/index.ts', import.meta.url)) };
}

async function listen(
  { listen: address, listenIsDefault }: WorkerSettings,
  state: State,
  core: CoreMetrics,
  logger: Logger,
  registry: Registry,
): Promise<HttpServer | null> {
  if (!address) return null;
  const metrics = workerMetrics(() => state.workers, core, registry);
  try {
    return await serve({
      listen: address,
      setting: 'SLIPWAY_METRICS_ADDRESS',
      routes: {
        '/healthz': { GET: () => health(state) },
        '/readyz': { GET: () => readiness(state) },
        '/metrics': {
          GET: async () => ({
            status: 200,
            body: await metrics.text(),
            headers: { 'content-type': metrics.contentType },
          }),
        },
      },
      onError: (error) => logger.error({ error }, 'request failed'),
    });
  } catch (error) {
    if (!listenIsDefault) throw error;
    logger.warn({ reason: String(error) }, 'no metrics and no probes: the default address is taken');
    return null;
  }
}

function health({ workers }: State): Reply {
  const failed = workers.some((worker) => worker.getState() === 'FAILED');
  return failed ? { status: 500, body: { status: 'failed' } } : { status: 200, body: { status: 'ok' } };
}

function readiness({ reason }: State): Reply {
  return reason === null
    ? { status: 200, body: { status: 'ready' } }
    : { status: 503, body: { status: 'not ready', reason } };
}

if (import.meta.main) await runMain(() => runWorker());
