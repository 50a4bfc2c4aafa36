/** Temporal's native core, installed once a process: its logs go where ours go, its metrics to a port of its own. */
import { createServer } from 'node:net';
import type { Logger as TemporalLogger, LogLevel, LogMetadata } from '@temporalio/common';
import { Runtime } from '@temporalio/worker';
import type { Logger } from '../observability/logging.ts';

/** Core's Prometheus endpoint, merged into ours by worker/metrics.ts; `null` when metrics are off. */
export type CoreMetrics = { url: string } | null;

interface InstalledRuntime {
  metrics: CoreMetrics;
  /** Ends Core's threads, which otherwise keep the process alive; connections and workers must be gone. */
  shutdown(): Promise<void>;
}

/** Core binds its port itself and cannot say which one it got, so it is told a free one; somebody may be faster. */
const PORT_ATTEMPTS = 5;

export async function installRuntime(logger: Logger, metrics: boolean): Promise<InstalledRuntime> {
  for (let attempt = 1; ; attempt++) {
    const bindAddress = metrics ? `127.0.0.1:${await freePort()}` : null;
    try {
      const runtime = Runtime.install({
        logger: temporalLogger(logger),
        // Signals are ours: readiness goes first, then the workers drain.
        shutdownSignals: [],
        telemetryOptions: {
          logging: {
            forward: {},
            filter: { core: logger.isLevelEnabled('debug') ? 'INFO' : 'WARN', other: 'ERROR' },
          },
          ...(bindAddress === null
            ? {}
            : {
                metrics: {
                  prometheus: {
                    bindAddress,
                    countersTotalSuffix: true,
                    unitSuffix: true,
                    useSecondsForDurations: true,
                  },
                },
              }),
        },
      });
      return {
        metrics: bindAddress === null ? null : { url: `http://${bindAddress}/metrics` },
        shutdown: () => runtime.shutdown(),
      };
    } catch (error) {
      if (bindAddress === null || attempt >= PORT_ATTEMPTS) throw error;
    }
  }
}

/**
 * The SDK calls this for workers, activities and workflows; a workflow's own lines come only when it really runs, not
 * when it is replayed. Ids that the SDK adds (workflowId, runId, activityType ...) become fields.
 */
export function temporalLogger(logger: Logger): TemporalLogger {
  const write = (level: LogLevel, message: string, meta: LogMetadata = {}): void => {
    const { sdkComponent, ...fields } = meta;
    // "component" is ours already and says which process this is.
    const from = sdkComponent === undefined ? {} : { source: sdkComponent };
    logger[isRoutine(level, message, sdkComponent) ? 'debug' : LEVELS[level]](
      { ...fields, ...from },
      message,
    );
  };
  return {
    log: write,
    trace: (message, meta) => write('TRACE', message, meta),
    debug: (message, meta) => write('DEBUG', message, meta),
    info: (message, meta) => write('INFO', message, meta),
    warn: (message, meta) => write('WARN', message, meta),
    error: (message, meta) => write('ERROR', message, meta),
  };
}

/** What every start and stop says: state changes, the bundler's report, that the watching worker has no workflows. */
function isRoutine(level: LogLevel, message: string, sdkComponent: unknown): boolean {
  if (sdkComponent !== 'worker') return false;
  return level === 'INFO' || message.startsWith('No workflows registered');
}

const LEVELS = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const;

function freePort(): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const server = createServer();
  server.once('error', reject);
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
  });
  return promise;
}
