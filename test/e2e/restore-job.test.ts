/** Restores, by name, of what Jobs have put on a claim: a real pod reads it, its bytes come out by exec. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { canRunRealNode } from '../../lab/machine.ts';
import { eventually } from '../../lab/wait.ts';
import type { RunRef } from '../../src/client/backup.ts';
import type { RestoreStatus } from '../../src/domain/backup/restore.types.ts';
import type { BackupSummary } from '../../src/domain/backup/types.ts';
import type { BackupPolicy } from '../../src/specs/backup.types.ts';
import { hashes } from './backup-engine.support.ts';
import { JobLab, PASSWORD } from './backup-job.support.ts';

const WITHIN = { timeoutMs: 60_000, pauseMs: 50 };
/** So little CPU that reading takes many seconds. */
const SLOW = `      resources: { requests: { cpu: 10m }, limits: { cpu: 10m, memory: 512Mi } }`;
const INTO = ['--into-env', 'MONGODB_URI'];

describe.skipIf(!canRunRealNode())('a restore from a claim', () => {
  let lab: JobLab;
  let backup: BackupSummary;
  const policy = (spec: { job?: string; key?: string } = {}) => lab.policy('shop', spec);
  const renamed = (to: string) => ['--ns-from', `${lab.database}.*`, '--ns-to', `${lab.database}_${to}.*`];

  beforeAll(async () => {
    lab = await JobLab.open();
    const { status } = await lab.take(policy());
    if (!status?.result) throw new Error(status?.reason ?? 'no backup');
    backup = status.result;
  });
  afterAll(() => lab?.close());

  test('brings the latest back by name as it was, in other names too; nothing is left, and no secret is told', async () => {
    const dry = await lab.cli(policy(), 'restore', '--latest', ...INTO, ...renamed('copy'), '--dry-run', '--wait');
    console.log(dry);
    expect(dry.code).toBe(0);
    expect(dry.stdout).toContain(backup.id);
    const done = await lab.cli(policy(), 'restore', '--latest', ...INTO, ...renamed('copy'), '--wait');
    console.log(done);
    expect(done.code).toBe(0);
    expect(await hashes(lab.mongo, `${lab.database}_copy`)).toEqual(await hashes(lab.mongo, lab.database));
    expect(await lab.readers()).toEqual([]);
  });
});
