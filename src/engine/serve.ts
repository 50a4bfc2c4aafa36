/** One job of a worker: takes it, reports on the way, answers, and ends the process. */
import module from 'node:module';
import { ApplicationFailure } from '@temporalio/common';
import { restoreDrill } from '../activities/backup/drill.ts';
import type { EngineFailure, EngineJob, FromEngine, ToEngine } from '../activities/backup/engine.types.ts';
import { backupFailureOf } from '../activities/backup/failure.ts';
import { carryOut, inspectRestore } from '../activities/backup/restore.ts';
import { storeSlice } from '../activities/backup/slices.ts';
import { takeBackup } from '../activities/backup/take.ts';
import type { SettingsSource } from '../backups/settings.ts';
import type { TransferProgress } from '../domain/backup/types.ts';
import { boundBuffers } from './memory.ts';
import { KubeError } from '../kubernetes/errors.ts';
import { Throttle } from '../mongodb/throttle.ts';

type Progress = Omit<TransferProgress, 'rate'>;

/**
 * Ends this process at once. An ordinary exit waits for V8's threads, one of which may wait for a garbage collection that
 * the waiting main thread will never begin (Node 24.21: one run in some hundred, and then for ever).
 */
function vanish(): void {
  module.flushCompileCache();
  process.kill(process.pid, 'SIGKILL');
}

/** Heartbeats go out once a second; more would only be copied for nothing. */
const PROGRESS_MS = 250;

const stopped = new AbortController();
const throttle = new Throttle();
const asked = new Map<number, PromiseWithResolvers<unknown>>();

function send(message: FromEngine, sent?: () => void): void {
  process.send?.(message, undefined, undefined, sent);
}

function ask<T>(question: (id: number) => FromEngine): Promise<T> {
  const id = asked.size + 1;
  const answer = Promise.withResolvers<unknown>();
  asked.set(id, answer);
  send(question(id));
  return answer.promise as Promise<T>;
}

/** Secrets are read by the worker, which has the credentials for that; it lends them for streams out of pods. */
function cluster(): Pick<SettingsSource, 'kube' | 'access'> {
  return {
    kube: {
      get: (resource, namespace, name) => ask((id) => ({ kind: 'get', id, resource, namespace, name })),
    },
    access: () => ask((id) => ({ kind: 'access', id })),
  };
}

function reporter(): (progress: Progress) => void {
  let last = 0;
  let stage = '';
  return (progress) => {
    const now = performance.now();
    if (progress.stage === stage && now - last < PROGRESS_MS) return;
    last = now;
    stage = progress.stage;
    send({ kind: 'progress', progress });
  };
}

function work(job: EngineJob, input: unknown, from: SettingsSource & { version: string }): Promise<unknown> {
  const report = reporter();
  const { signal } = stopped;
  // The other end sends what its own activity was given, so the types hold.
  switch (job) {
    case 'takeBackup':
      return takeBackup(input as Parameters<typeof takeBackup>[0], from, signal, report, throttle);
    case 'inspectRestore':
      return inspectRestore(input as Parameters<typeof inspectRestore>[0], from, signal, report);
    case 'restore':
      return carryOut(input as Parameters<typeof carryOut>[0], from, signal, report);
    case 'restoreDrill':
      return restoreDrill(input as Parameters<typeof restoreDrill>[0], from, signal, report);
    case 'sliceOplog':
      return storeSlice(input as Parameters<typeof storeSlice>[0], from, signal, report);
  }
}

async function start({ job, input, version, attempt, cluster: has }: Extract<ToEngine, { kind: 'start' }>) {
  const from = { env: process.env, kube: null, ...(has && cluster()), version };
  try {
    send({ kind: 'done', result: await work(job, input, from) }, vanish);
  } catch (error) {
    send({ kind: 'failed', failure: failureOf(backupFailureOf(error, attempt)) }, vanish);
  }
}

function failureOf(error: unknown): EngineFailure {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof ApplicationFailure))
    return { message, type: 'Error', nonRetryable: false, details: [] };
  const { type, nonRetryable, details } = error;
  return { message, type: type ?? 'Error', nonRetryable: nonRetryable ?? false, details: details ?? [] };
}

function receive(message: ToEngine): void {
  switch (message.kind) {
    case 'start':
      void start(message);
      break;
    case 'throttle':
      throttle.megabytesPerSecond = message.mbPerSecond ?? undefined;
      break;
    case 'cancel':
      stopped.abort(new Error('cancelled'));
      break;
    case 'object':
      asked.get(message.id)?.resolve(message.object);
      break;
    case 'access':
      asked.get(message.id)?.resolve(message.access);
      break;
    case 'refused': {
      const { id, ...refused } = message;
      asked.get(id)?.reject(new KubeError(refused));
    }
  }
}

/** From now on the worker is listened to. */
export function serve(): void {
  if (!process.connected) vanish(); // it has gone while this was loaded
  boundBuffers();
  process.on('message', receive);
  process.once('disconnect', vanish);
  // A Ctrl-C reaches the whole group; the worker says when to stop.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
}
