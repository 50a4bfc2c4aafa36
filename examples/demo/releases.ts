/** First part of the demo: a good version goes all the way up, a bad one is hauled back by a real alert. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { SlipwayClient } from '../../src/client.ts';
import type { ReleaseStatus } from '../../src/domain/release/types.ts';
import { parseRelease } from '../../src/specs/release.ts';
import type { Traffic } from '../traffic/generate.ts';
import type { Logbook } from './logbook.ts';
import { type Environment, readExample } from './stage.ts';
import { expectThat, NotAsTold } from './told.ts';

/** Longest that one release of the demo may take. */
const RELEASE_MS = 180_000;
const TARGET = { namespace: 'ecommerce', name: 'product-service' };

interface Scene {
  env: Environment;
  client: SlipwayClient;
  traffic: Traffic;
  log: Logbook;
}

export async function playReleases(scene: Scene): Promise<void> {
  const good = await release(scene, 'v1.1.0');
  expectThat(good.outcome === 'promoted', `v1.1.0 ended as ${good.outcome}: ${good.reason}`);
  await expectRunning(scene.env, 'v1.1.0');
  const bad = await release(scene, 'v1.2.0');
  expectThat(bad.outcome === 'rolled-back', `v1.2.0 ended as ${bad.outcome}: ${bad.reason}`);
  expectThat(bad.alerts.length > 0, `v1.2.0 was rolled back without an alert: ${bad.reason}`);
  await expectRunning(scene.env, 'v1.1.0');
}

/** Follows one release to its end, gives the approval when a gate opens, and books every phase. */
async function release({ client, traffic, log }: Scene, version: string): Promise<ReleaseStatus> {
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

async function expectRunning(env: Environment, version: string): Promise<void> {
  const found = await readExample(env);
  expectThat(found.image.endsWith(`:${version}`), `the Deployment runs ${found.image} instead of ${version}`);
  expectThat(found.ready === found.replicas, `${found.ready} of ${found.replicas} pods are ready`);
  expectThat(!found.record, 'the record of a release is still on the Deployment');
}
