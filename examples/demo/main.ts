/**
 * `npm run demo`: a good version goes all the way up, a bad one is hauled back by a real alert, on a real cluster and under
 * traffic. Exits with 1 when anything did not happen as told.
 */
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { down, LabError, status as labStatus, up } from '../../lab/index.ts';
import type { ProcessRecord } from '../../lab/processes.ts';
import { SlipwayClient } from '../../src/client.ts';
import type { ReleaseStatus } from '../../src/domain/release.types.ts';
import { parseRelease } from '../../src/specs/release.ts';
import { generateTraffic, type Traffic } from '../traffic/generate.ts';
import { Logbook } from './logbook.ts';
import * as stage from './stage.ts';

const RPS = 40;
/** Longest that one release of the demo may take. */
const RELEASE_MS = 180_000;
const TARGET = { namespace: 'ecommerce', name: 'product-service' };

interface Demo {
  env: stage.Environment;
  client: SlipwayClient;
  traffic: Traffic;
  log: Logbook;
}

class NotAsTold extends Error {}

function expectThat(holds: boolean, otherwise: string): void {
  if (!holds) throw new NotAsTold(otherwise);
}

/** Follows one release to its end, gives the approval when a gate opens, and books every phase. */
async function release(demo: Demo, version: string): Promise<ReleaseStatus> {
  const { client, traffic, log } = demo;
  const file = fileURLToPath(new URL(`./${version}.yaml`, import.meta.url));
  const input = {
    release: parseRelease(readFileSync(file, 'utf8'), { source: file }),
    starter: 'demo',
    key: null,
    dryRun: false,
  };
  const started = await client.startRelease({ input, onConflict: 'fail' });
  log.say(`release of ${version} started: ${client.workflowUrl(started.id, started.run)}`);
  let told = 0;
  let phase = '';
  const approvals: Promise<unknown>[] = [];
  const hear = (status: ReleaseStatus): void => {
    for (const { text } of status.timeline.slice(told)) log.say(`  ${text}`);
    told = status.timeline.length;
    if (status.phase !== phase) log.enter(`${version} ${status.phase}`, traffic.snapshot());
    phase = status.phase;
    // As the Temporal UI does it: the Update with the JSON that the page shows.
    const { gate } = status;
    if (gate && phase === 'awaiting-approval' && approvals.length === 0) {
      const command = {
        gate: gate.name,
        revision: gate.revision,
        by: 'demo approver',
        why: 'bake was clean',
      };
      approvals.push(
        client.approve(TARGET, command).catch((error: unknown) => {
          log.say(`  approval refused: ${(error as Error).message}`);
        }),
      );
    }
  };
  const view = await client.waitForOutcome(started, {
    timeoutMs: RELEASE_MS,
    intervalMs: 250,
    onProgress: (progress) => progress.kind === 'status' && hear(progress.status),
  });
  await Promise.all(approvals);
  if (!view) throw new NotAsTold(`the release of ${version} still waits in line`);
  hear(view.status);
  expectThat(
    view.status.outcome !== null,
    `the release of ${version} still ran after ${RELEASE_MS / 1000} s`,
  );
  return view.status;
}

async function play(demo: Demo): Promise<void> {
  const good = await release(demo, 'v1.1.0');
  expectThat(good.outcome === 'promoted', `v1.1.0 ended as ${good.outcome}: ${good.reason}`);
  await expectRunning(demo, 'v1.1.0');
  const bad = await release(demo, 'v1.2.0');
  expectThat(bad.outcome === 'rolled-back', `v1.2.0 ended as ${bad.outcome}: ${bad.reason}`);
  expectThat(bad.alerts.length > 0, `v1.2.0 was rolled back without an alert: ${bad.reason}`);
  await expectRunning(demo, 'v1.1.0');
  demo.log.enter('after', demo.traffic.snapshot());
}

async function expectRunning({ env }: Demo, version: string): Promise<void> {
  const found = await stage.readExample(env);
  expectThat(found.image.endsWith(`:${version}`), `the Deployment runs ${found.image} instead of ${version}`);
  expectThat(found.ready === found.replicas, `${found.ready} of ${found.replicas} pods are ready`);
  expectThat(!found.record, 'the record of a release is still on the Deployment');
}

async function demo(keep: boolean): Promise<void> {
  const log = new Logbook();
  const before = labStatus().phase;
  let processes: ProcessRecord[] = [];
  let client: SlipwayClient | null = null;
  let traffic: Traffic | null = null;
  try {
    const env = await up({ nodes: 'real' });
    log.say('the lab is up');
    await stage.endEarlier();
    processes = await stage.startSlipway(env);
    log.say('worker and gateway are ready');
    client = await SlipwayClient.connect({ env: { ...process.env, ...env } });
    const url = await stage.deployExample(env);
    log.say(`product-service v1.0.0 serves; ${RPS} requests a second go to ${url}`);
    traffic = generateTraffic({ urls: [url], rps: RPS });
    await play({ env, client, traffic, log });
    const account = await traffic.stop();
    log.close(account);
    log.print();
    expectThat(account.ok > 0, 'no request was answered');
    expectThat(log.failedIn('v1.1.0') === 0, 'requests failed while the good version went up');
    const byBad = account.byVersion['v1.2.0']?.failed ?? 0;
    expectThat(
      account.failed === byBad,
      `${account.failed - byBad} requests failed that v1.2.0 did not answer`,
    );
    console.log(
      `\n${account.ok + account.failed} requests, ${account.failed} failed, all of them answered by v1.2.0.`,
    );
    console.log(`Awaiting approval, in the Temporal UI: ${client.savedViewUrl()}`);
    if (keep) stage.keepTraffic(url, RPS);
    console.log(
      keep
        ? 'Everything keeps running; "npm run lab -- down" ends it.'
        : 'Look around: npm run demo -- --keep',
    );
  } finally {
    await traffic?.stop();
    await client?.close();
    if (!keep) {
      await stage.end(processes);
      if (before === 'down') await down();
    }
  }
}

try {
  const { values } = parseArgs({ options: { keep: { type: 'boolean', default: false } } });
  await demo(values.keep);
} catch (error) {
  const plain =
    error instanceof LabError ||
    error instanceof NotAsTold ||
    String((error as { code?: string }).code).startsWith('ERR_PARSE_ARGS');
  console.error(plain ? `\nNot as told: ${(error as Error).message}` : error);
  process.exitCode = 1;
}
