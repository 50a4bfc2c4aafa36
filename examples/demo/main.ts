/**
 * `npm run demo`: on a real cluster and under traffic a good version goes all the way up and a bad one is hauled back by a
 * real alert; then a backup is taken, drilled, and brings a lost collection back. Exits with 1 when anything did not happen
 * as told.
 */
import process from 'node:process';
import { parseArgs } from 'node:util';
import { down, LabError, status as labStatus, up } from '../../lab/index.ts';
import type { ProcessRecord } from '../../lab/processes.ts';
import { SlipwayClient } from '../../src/client.ts';
import { generateTraffic, type Traffic } from '../traffic/generate.ts';
import { playBackup } from './backup.ts';
import { Logbook } from './logbook.ts';
import { playReleases } from './releases.ts';
import * as stage from './stage.ts';
import { expectThat, NotAsTold } from './told.ts';

const RPS = 40;

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
    await playReleases({ env, client, traffic, log });
    log.enter('after', traffic.snapshot());
    const account = await traffic.stop();
    log.close(account);
    await playBackup({ env, client, log, url }, keep);
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
