/** A real Prometheus that scrapes workers and has the shipped rules of backups, and a real Alertmanager behind it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { allocatePorts } from '../../../lab/ports.ts';
import { provision } from '../../../lab/provision.ts';
import { healthy } from '../../../lab/wait.ts';
import { eventually } from './eventually.ts';

const ALERTING = new URL('../../../deploy/alerting/', import.meta.url);
/** All that differs from what is shipped: how often rules are looked at, and how long one must hold. No expression is touched. */
const HURRIED = [
  ['interval: 60s', 'interval: 2s'],
  ['for: 10m', 'for: 5s'],
  ['for: 5m', 'for: 5s'],
] as const;

export interface Alarm {
  labels: Record<string, string>;
  annotations: Record<string, string>;
}

export class AlarmRoom {
  readonly #folder: string;
  readonly #alertmanager: string;
  readonly #prometheus: string;
  readonly #children: ChildProcess[] = [];
  output = '';

  private constructor(folder: string, alertmanager: string, prometheus: string) {
    this.#folder = folder;
    this.#prometheus = prometheus;
    this.#alertmanager = alertmanager;
  }

  /** `workers`: addresses of their /metrics, `host:port`; they may come and go. */
  static async open(workers: readonly string[]): Promise<AlarmRoom> {
    const folder = await mkdtemp(join(tmpdir(), 'slipway-alarms-'));
    const { prometheus, alertmanager } = await allocatePorts(['prometheus', 'alertmanager'], {});
    const parts = await provision(['prometheus', 'alertmanager']);
    const room = new AlarmRoom(folder, `127.0.0.1:${alertmanager}`, `127.0.0.1:${prometheus}`);
    let rules = await readFile(new URL('rules/backup.yaml', ALERTING), 'utf8');
    for (const [shipped, hurried] of HURRIED) {
      if (!rules.includes(shipped)) throw new Error(`the shipped rules say nowhere "${shipped}"`);
      rules = rules.replaceAll(shipped, hurried);
    }
    await writeFile(join(folder, 'rules.yaml'), rules);
    await writeFile(
      join(folder, 'prometheus.yaml'),
      JSON.stringify({
        global: { scrape_interval: '1s', scrape_timeout: '1s' },
        rule_files: [join(folder, 'rules.yaml')],
        alerting: { alertmanagers: [{ static_configs: [{ targets: [room.#alertmanager] }] }] },
        scrape_configs: [{ job_name: 'slipway', static_configs: [{ targets: workers }] }],
      }),
    );
    // The shipped configuration; nobody listens at its gateway, and no alarm of backups goes there.
    const config = new URL('alertmanager.yaml', ALERTING).pathname;
    try {
      await room.#start(parts['alertmanager']?.path ?? '', room.#alertmanager, [
        `--config.file=${config}`,
        `--storage.path=${join(folder, 'alertmanager')}`,
        `--web.listen-address=${room.#alertmanager}`,
        '--cluster.listen-address=',
      ]);
      await room.#start(parts['prometheus']?.path ?? '', room.#prometheus, [
        `--config.file=${join(folder, 'prometheus.yaml')}`,
        `--storage.tsdb.path=${join(folder, 'prometheus')}`,
        `--web.listen-address=${room.#prometheus}`,
        '--rules.alert.resend-delay=2s',
      ]);
    } catch (error) {
      await room.close();
      throw error;
    }
    return room;
  }

  async #start(program: string, address: string, args: string[]): Promise<void> {
    const child = spawn(program, [...args, '--log.level=warn'], {
      cwd: this.#folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#children.push(child);
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.output = (this.output + text).slice(-20_000);
      });
    }
    await eventually(`${program} is ready`, () => healthy(`http://${address}/-/ready`));
  }

  /** What fires now, as Alertmanager has it. */
  async firing(): Promise<Alarm[]> {
    const response = await fetch(`http://${this.#alertmanager}/api/v2/alerts?active=true`, {
      signal: AbortSignal.timeout(10_000),
    });
    if (!response.ok) throw new Error(`Alertmanager: ${response.status} ${await response.text()}`);
    return (await response.json()) as Alarm[];
  }

  /** Whether a query finds anything. */
  async finds(query: string): Promise<boolean> {
    const url = new URL(`http://${this.#prometheus}/api/v1/query`);
    url.searchParams.set('query', query);
    const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
    const { data } = (await response.json()) as { data: { result: unknown[] } };
    return data.result.length > 0;
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
