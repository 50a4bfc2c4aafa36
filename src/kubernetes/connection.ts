/** Where the API server is and how to prove who we are: kubeconfig or in-cluster, read by @kubernetes/client-node. */
import { createHash } from 'node:crypto';
import type { Agent } from 'node:http';
import { Agent as HttpsAgent, type AgentOptions, type RequestOptions } from 'node:https';
import type { KubeConfig } from '@kubernetes/client-node';

/** What one request proves itself with. */
export interface Credentials {
  headers: Record<string, string>;
  agent: Agent;
}

/**
 * What a child process needs to reach the API server for a while, without reading any configuration itself. It holds
 * secrets: it goes from process to process on this machine, and nowhere else.
 */
export interface ClusterAccess {
  server: string;
  headers: Record<string, string>;
  tls: Pick<AgentOptions, 'ca' | 'cert' | 'key' | 'passphrase' | 'rejectUnauthorized' | 'servername'>;
}

/** An API server and the way to it. */
export interface Connection {
  /** Base URL of the API server. */
  readonly server: URL;
  /** Namespace of the context, `default` when it has none. */
  readonly namespace: string;
  /** Headers and agent for the next request; cheap, asks the credential plugin only when it must. */
  credentials(): Promise<Credentials>;
  /** The same for another process. Throws Error when the way leads through a proxy. */
  access(): Promise<ClusterAccess>;
  /** Forget cached credentials after a 401. */
  renew(): Promise<void>;
  /** Close pooled connections. */
  close(): void;
}

/** Which kubeconfig and which of its contexts. */
export interface ConnectionOptions {
  /** Path of a kubeconfig; otherwise KUBECONFIG, ~/.kube/config or the pod's service account. */
  kubeconfig?: string;
  context?: string;
}

/** Keep credentials this long before reading files or plugins again; service account tokens rotate hourly. */
const CREDENTIALS_MS = 10_000;

/**
 * Connects to the cluster of a kubeconfig or, in a pod, to its own. Loads client-node on first use, since that takes
 * half a second. Throws Error with one sentence when there is no usable configuration.
 */
export async function connect(options: ConnectionOptions = {}): Promise<Connection> {
  const load = async (): Promise<KubeConfig> => loadConfig(options);
  return new ConfigConnection(await load(), load);
}

async function loadConfig({ kubeconfig, context }: ConnectionOptions): Promise<KubeConfig> {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  try {
    if (kubeconfig) config.loadFromFile(kubeconfig);
    else config.loadFromDefault();
  } catch (error) {
    const source = kubeconfig ?? process.env['KUBECONFIG'] ?? 'the default kubeconfig';
    throw new Error(`cannot read ${source}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  if (context) {
    if (!config.getContextObject(context)) {
      const known = config.getContexts().map(({ name }) => name);
      throw new Error(`no context "${context}" in the kubeconfig; it has ${known.join(', ') || 'none'}`);
    }
    config.setCurrentContext(context);
  }
  if (!config.getCurrentCluster()) {
    throw new Error('no cluster to talk to: set KUBECONFIG, or run inside a cluster');
  }
  return config;
}

class ConfigConnection implements Connection {
  readonly server: URL;
  readonly namespace: string;
  #config: KubeConfig;
  readonly #load: () => Promise<KubeConfig>;
  #cached: { at: number; credentials: Promise<Credentials> } | undefined;
  #agent: { key: string; agent: Agent } | undefined;
  #tls: ClusterAccess['tls'] = {};

  constructor(config: KubeConfig, load: () => Promise<KubeConfig>) {
    this.#config = config;
    this.#load = load;
    const server = config.getCurrentCluster()?.server ?? '';
    this.server = new URL(server.endsWith('/') ? server : `${server}/`);
    this.namespace = config.getContextObject(config.getCurrentContext())?.namespace ?? 'default';
  }

  credentials(): Promise<Credentials> {
    const now = performance.now();
    if (!this.#cached || now - this.#cached.at > CREDENTIALS_MS) {
      // One promise for all who ask meanwhile: a credential plugin is started once, not once a request.
      const credentials = this.#read();
      this.#cached = { at: now, credentials };
      credentials.catch(() => {
        if (this.#cached?.credentials === credentials) this.#cached = undefined;
      });
    }
    return this.#cached.credentials;
  }

  async access(): Promise<ClusterAccess> {
    if (this.#config.getCurrentCluster()?.proxyUrl)
      throw new Error('streams out of pods do not go through the proxy-url of a kubeconfig');
    const { headers } = await this.credentials();
    return { server: this.server.href, headers, tls: this.#tls };
  }

  async renew(): Promise<void> {
    this.#config = await this.#load();
    this.#cached = undefined;
  }

  close(): void {
    this.#agent?.agent.destroy();
    this.#agent = undefined;
    this.#cached = undefined;
  }

  async #read(): Promise<Credentials> {
    const options: RequestOptions = { headers: {} };
    await this.#config.applyToHTTPSOptions(options);
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(options.headers ?? {})) headers[name] = String(value);
    if (options.auth) headers['Authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`;
    return { headers, agent: this.#agentFor(options) };
  }

  /** client-node makes an agent without keep-alive, and keeps it when certificates rotate; ours does the opposite. */
  #agentFor(options: RequestOptions): Agent {
    const proxied = this.#config.getCurrentCluster()?.proxyUrl;
    if (proxied && options.agent) {
      const agent = options.agent as Agent & { keepAlive?: boolean };
      agent.keepAlive = true;
      return agent;
    }
    const { ca, cert, key, passphrase, rejectUnauthorized, servername } = options;
    const tls = defined({
      ca,
      cert,
      key,
      passphrase,
      rejectUnauthorized,
      servername,
    }) as ClusterAccess['tls'];
    this.#tls = tls;
    const hash = createHash('sha256').update(JSON.stringify(tls)).digest('hex');
    if (this.#agent?.key !== hash) {
      // The old agent is left to its open requests: idle connections time out by themselves.
      this.#agent = { key: hash, agent: new HttpsAgent({ ...POOL, ...tls }) };
    }
    return this.#agent.agent;
  }
}

/** Options of a connection pool. Idle connections are probed, and dropped before load balancers do it silently. */
const POOL: AgentOptions = {
  keepAlive: true,
  keepAliveMsecs: 15_000,
  maxFreeSockets: 16,
  scheduling: 'lifo',
};

function defined<T extends object>(value: T): Partial<T> {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as Partial<T>;
}
