/**
 * A Prometheus and an Alertmanager of a test's own, set up by the lab's own hand: they scrape its cluster, have the same rules and the route
 * of deploy/alerting, and differ only in the gateway that they tell.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Component } from '../../../lab/components/component.ts';
import { alertmanager, prometheus } from '../../../lab/components/monitoring.ts';
import { type Lab, openLab } from '../../../lab/lab.ts';
import { allocatePorts } from '../../../lab/ports.ts';
import { eventually } from '../../../lab/wait.ts';

const SERVERS = [alertmanager, prometheus];

/** As Alertmanager's API tells it. */
export interface FiringAlert {
  fingerprint: string;
  startsAt: string;
  labels: Record<string, string>;
}

export class Watchtower {
  readonly #lab: Lab;
  readonly #folder: string;
  readonly #children: ChildProcess[] = [];
  output = '';

  private constructor(lab: Lab, folder: string) {
    this.#lab = lab;
    this.#folder = folder;
  }

  static async open(gateway: { url: string; token: string }): Promise<Watchtower> {
    const folder = await mkdtemp(join(tmpdir(), 'slipway-watchtower-'));
    const gatewayToken = join(folder, 'gateway-token');
    await writeFile(gatewayToken, gateway.token, { mode: 0o600 });
    const own = await allocatePorts(
      SERVERS.flatMap(({ ports }) => ports),
      {},
    );
    const ports: Record<string, number> = { ...own, gateway: Number(new URL(gateway.url).port) };
    const lab = openLab();
    const tower = new Watchtower(
      {
        ...lab,
        paths: { ...lab.paths, gatewayToken },
        port: (name) => ports[name] ?? lab.port(name),
        folder: (...parts) => {
          const path = join(folder, ...parts);
          mkdirSync(path, { recursive: true });
          return path;
        },
      },
      folder,
    );
    try {
      await Promise.all(SERVERS.map((server) => tower.#start(server)));
    } catch (error) {
      await tower.close();
      throw error;
    }
    return tower;
  }

  async #start(component: Component): Promise<void> {
    const { part, args } = await component.launch(this.#lab);
    const child = spawn(this.#lab.program(part), args, {
      cwd: this.#folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#children.push(child);
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.output = (this.output + text).slice(-20_000);
      });
    }
    const ready = () => component.ready(this.#lab);
    if (!(await eventually(ready, { timeoutMs: component.readyTimeoutMs })))
      throw new Error(`${component.name} is not ready: ${this.output}`);
  }

  /** The alerts about a namespace that Alertmanager has and that fire. */
  async firing(namespace: string): Promise<FiringAlert[]> {
    const url = new URL(`http://127.0.0.1:${this.#lab.port('alertmanager')}/api/v2/alerts`);
    url.searchParams.append('filter', `namespace="${namespace}"`);
    url.searchParams.set('active', 'true');
    const response = await fetch(url, { signal: AbortSignal.timeout(60_000) });
    if (!response.ok) throw new Error(`${url.href}: ${response.status} ${await response.text()}`);
    return (await response.json()) as FiringAlert[];
  }

  async close(): Promise<void> {
    await Promise.all(
      this.#children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        child.kill('SIGKILL');
        await once(child, 'exit');
      }),
    );
    await rm(this.#folder, { recursive: true, force: true });
  }
}
