// The API server's own record of what Slipway asked it: the only clock and the only counter that are not ours.
import { open, stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

/** User agent of the benchmark's own requests; Slipway's begins alike. */
export const BENCH_VERSION = 'bench';

const WITHIN_MS = 15_000;
const WRITES = new Set(['create', 'update', 'patch', 'delete', 'deletecollection']);
/** Posted to be answered, never stored. */
const REVIEWS = /reviews$/;

export interface ApiRequest {
  verb: string;
  resource: string;
  namespace: string;
  name: string;
  /** When the API server had it, in milliseconds since the epoch, to the microsecond. */
  receivedAt: number;
  dryRun: boolean;
}

export interface RequestCounts {
  /** Requests that change stored objects. */
  writes: number;
  /** Of them those to the Deployment itself. */
  deploymentWrites: number;
  reads: number;
  /** Watches opened; one stays open for minutes. */
  watches: number;
  /** Access reviews and dry runs: answered, not stored. */
  reviews: number;
}

/** Follows the audit log from now on, keeping Slipway's requests. */
export class AuditLog {
  readonly #path: string;
  readonly #requests: ApiRequest[] = [];
  #offset: number;
  #rest = '';

  private constructor(path: string, offset: number) {
    this.#path = path;
    this.#offset = offset;
  }

  static async follow(path: string): Promise<AuditLog> {
    return new AuditLog(path, (await stat(path)).size);
  }

  /** The first matching request, as soon as it is in the log. @throws Error when it is not there in 15 s. */
  async first(what: string, matches: (request: ApiRequest) => boolean): Promise<ApiRequest> {
    const deadline = Date.now() + WITHIN_MS;
    for (;;) {
      await this.#read();
      const found = this.#requests.filter(matches).sort((a, b) => a.receivedAt - b.receivedAt)[0];
      if (found) return found;
      if (Date.now() > deadline) throw new Error(`the audit log shows no ${what} after ${WITHIN_MS} ms`);
      await delay(50);
    }
  }

  /** Slipway's requests between two moments, in milliseconds since the epoch. */
  async count(from: number, to: number): Promise<RequestCounts> {
    // A request is logged when it is answered.
    await delay(500);
    await this.#read();
    const counts: RequestCounts = { writes: 0, deploymentWrites: 0, reads: 0, watches: 0, reviews: 0 };
    for (const request of this.#requests) {
      if (request.receivedAt < from || request.receivedAt > to) continue;
      if (request.verb === 'watch') counts.watches += 1;
      else if (!WRITES.has(request.verb)) counts.reads += 1;
      else if (request.dryRun || REVIEWS.test(request.resource)) counts.reviews += 1;
      else {
        counts.writes += 1;
        if (request.resource === 'deployments') counts.deploymentWrites += 1;
      }
    }
    return counts;
  }

  async #read(): Promise<void> {
    const { size } = await stat(this.#path);
    if (size < this.#offset) throw new Error('the audit log was rotated during the benchmark; run it again');
    if (size === this.#offset) return;
    const file = await open(this.#path);
    try {
      const { buffer, bytesRead } = await file.read(
        Buffer.alloc(size - this.#offset),
        0,
        size - this.#offset,
        this.#offset,
      );
      this.#offset += bytesRead;
      // Lines are ASCII but for what users put into names; a character cut in two only spoils a line that is not ours.
      const lines = (this.#rest + buffer.toString('utf8', 0, bytesRead)).split('\n');
      this.#rest = lines.pop() ?? '';
      for (const line of lines) this.#take(line);
    } finally {
      await file.close();
    }
  }

  #take(line: string): void {
    if (!line.includes('"userAgent":"slipway/')) return;
    const event = JSON.parse(line) as AuditEvent;
    if (event.userAgent === `slipway/${BENCH_VERSION}`) return;
    // A watch is logged when it opens and when it ends, everything else once.
    if ((event.verb === 'watch') !== (event.stage === 'ResponseStarted')) return;
    this.#requests.push({
      verb: event.verb,
      resource: event.objectRef?.resource ?? '',
      namespace: event.objectRef?.namespace ?? '',
      name: event.objectRef?.name ?? '',
      receivedAt: preciseTime(event.requestReceivedTimestamp),
      dryRun: event.requestURI.includes('dryRun='),
    });
  }
}

interface AuditEvent {
  verb: string;
  stage: string;
  userAgent: string;
  requestURI: string;
  requestReceivedTimestamp: string;
  objectRef?: { resource?: string; namespace?: string; name?: string };
}

/** `2026-11-23T11:08:46.346710Z`: Date knows milliseconds only. */
function preciseTime(text: string): number {
  const micros = /\.\d{3}(\d{3})Z$/.exec(text)?.[1] ?? '0';
  return Date.parse(text) + Number(micros) / 1_000;
}
