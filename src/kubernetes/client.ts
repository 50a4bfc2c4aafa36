/**
 * The verbs of the API server on raw JSON: what is read is what the server sent, what is written is what the caller gave.
 */
import type { IncomingMessage } from 'node:http';
import { FIELD_MANAGER } from '../domain/names.ts';
import type { KubeObject } from '../domain/workload/objects.types.ts';
import type { Connection } from './connection.ts';
import { pathOf, type Resource } from './paths.ts';
import { type CallOptions, Requests, type RequestsOptions } from './requests.ts';

export type { CallOptions, RequestRecord } from './requests.ts';

/** One API server. Every method throws {@link KubeError}, or the reason of its signal. */
export class KubeClient {
  readonly connection: Connection;
  readonly #requests: Requests;

  constructor(options: RequestsOptions) {
    this.connection = options.connection;
    this.#requests = new Requests(options);
  }

  /** Milliseconds since the epoch by the API server's clock, as its last answer showed it. */
  now(): number {
    return this.#requests.now();
  }

  /** One object. Throws KubeError; reason `NotFound` when there is none. */
  get<T extends KubeObject>(
    resource: Resource,
    namespace: string,
    name: string,
    options: CallOptions = {},
  ): Promise<T> {
    return this.#requests.call(pathOf(resource, namespace, name), 'GET', { ...options, verb: 'get' });
  }

  /** All objects of a namespace, read in pages. Throws KubeError. */
  async list<T extends KubeObject>(
    resource: Resource,
    namespace: string,
    { labelSelector, limit = 500, ...options }: CallOptions & { labelSelector?: string; limit?: number } = {},
  ): Promise<{ items: T[]; resourceVersion: string }> {
    const items: T[] = [];
    let next: string | undefined;
    for (;;) {
      const page: Page<T> = await this.#requests.call(pathOf(resource, namespace), 'GET', {
        ...options,
        query: { ...options.query, limit, labelSelector, continue: next },
        verb: 'list',
      });
      items.push(...page.items);
      next = page.metadata.continue || undefined;
      if (!next) return { items, resourceVersion: page.metadata.resourceVersion };
    }
  }

  /**
   * Sends a strategic merge patch for an object that has exactly this resourceVersion, as field manager `slipway` if no
   * other is named, and returns what it became. Throws KubeError; reason `Conflict` when the object has changed since: a second copy of the patch can only fail.
   */
  patch<T extends KubeObject>(
    resource: Resource,
    current: KubeObject,
    patch: { metadata?: object; spec?: object },
    {
      dryRun = false,
      manager = FIELD_MANAGER,
      ...options
    }: CallOptions & { dryRun?: boolean; manager?: string | undefined } = {},
  ): Promise<T> {
    const { namespace, name, resourceVersion, uid } = current.metadata;
    return this.#requests.call(pathOf(resource, namespace, name), 'PATCH', {
      ...options,
      query: { ...options.query, fieldManager: manager, dryRun: dryRun ? 'All' : undefined },
      body: { ...patch, metadata: { ...patch.metadata, uid, resourceVersion } },
      contentType: 'application/strategic-merge-patch+json',
      verb: 'patch',
    });
  }

  /**
   * Makes an object that has a name of its own. Throws KubeError; reason `AlreadyExists` also when an earlier attempt of
   * this very call got through without an answer.
   */
  create<T extends KubeObject>(
    resource: Resource,
    namespace: string,
    object: object,
    options: CallOptions = {},
  ): Promise<T> {
    return this.#requests.call(pathOf(resource, namespace), 'POST', {
      ...options,
      query: { ...options.query, fieldManager: FIELD_MANAGER },
      body: object,
      contentType: 'application/json',
      verb: 'create',
    });
  }

  /** Deletes exactly this object, not a later one of its name, and what it owns. Throws KubeError, also `NotFound`. */
  async delete(
    resource: Resource,
    { metadata: { namespace, name, uid } }: KubeObject,
    options: CallOptions & { propagation?: 'Background' | 'Foreground' } = {},
  ): Promise<void> {
    const { propagation = 'Background', ...call } = options;
    await this.#requests.call(pathOf(resource, namespace, name), 'DELETE', {
      ...call,
      body: { propagationPolicy: propagation, preconditions: { uid } },
      contentType: 'application/json',
      verb: 'delete',
    });
  }

  /** Posts an object that the API server answers and does not keep, such as an access review. Throws KubeError. */
  review<T>(path: string, body: object, options: CallOptions = {}): Promise<T> {
    return this.#requests.call(path, 'POST', {
      ...options,
      body,
      contentType: 'application/json',
      verb: 'create',
    });
  }

  /** Opens a stream: one attempt, no limit once the head of the answer is there. Throws KubeError. */
  async stream(path: string, options: CallOptions): Promise<IncomingMessage> {
    return this.#requests.once(path, 'GET', { ...options, verb: 'watch' });
  }
}

interface Page<T> {
  items: T[];
  metadata: { resourceVersion: string; continue?: string };
}
