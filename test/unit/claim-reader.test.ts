/** Pods that restores read a claim by: what they may do, whose they are, where they go. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { BackupUnknownError, pickBackup } from '../../src/backups/verified.ts';
import { beforeRestoreId } from '../../src/domain/backup/names.ts';
import {
  boundTo,
  type Claim,
  isLeftOver,
  READER_NAMES,
  readCommand,
  readerPod,
} from '../../src/domain/backup-job/reader.ts';
import { podSight } from '../../src/domain/backup-job/sight.ts';
import { accessFindings, READER_ACCESS_RULES } from '../../src/domain/preflight/access.ts';
import type { Pod } from '../../src/domain/workload/objects.types.ts';
import { parseBackupPolicy } from '../../src/specs/backup.ts';

const NOW = Date.parse('2026-11-24T03:00:00Z');
const policy = parseBackupPolicy(`
apiVersion: slipway/v1
kind: BackupPolicy
metadata: { name: shop }
spec:
  source:
    uriFrom: { secret: { namespace: e, name: app-secrets, key: mongo-password, host: mongodb-0.mongodb, username: admin } }
  schedule: { at: "02:00" }
  destination: { job: { namespace: e, image: "mongo:6.0", pvc: backup-pvc } }`);
const [name = ''] = READER_NAMES;
const made = { name, owner: 'restore.shop-1/r1', attempt: 'ab', node: null };

function pod(
  phase: string,
  { ageMs = 1_000, owner = made.owner, ...more }: Record<string, unknown> = {},
): Pod {
  const { metadata } = readerPod(policy, { ...made, owner: owner as string });
  return {
    metadata: {
      ...metadata,
      uid: 'u',
      resourceVersion: '1',
      creationTimestamp: new Date(NOW - (ageMs as number)).toISOString(),
    },
    spec: { containers: [] },
    status: { phase },
    ...more,
  } as Pod;
}

describe('a reader', () => {
  test('reads the claim and nothing else: no password, no token, no way to write; it ends by itself', () => {
    const { metadata, spec } = readerPod(policy, made);
    const text = JSON.stringify(spec);
    expect(text).not.toMatch(/secretKeyRef|MONGO_PASSWORD/);
    expect(spec).toMatchObject({
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      activeDeadlineSeconds: expect.any(Number),
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          volumeMounts: [
            { name: 'backup', mountPath: '/backup', readOnly: true },
            { name: 'tmp', mountPath: '/tmp' },
          ],
        },
      ],
    });
    expect(metadata.labels).toMatchObject({ 'slipway.dev/policy': 'shop', 'slipway.dev/task': 'read' });
    expect(spec).not.toHaveProperty('affinity');
  });

  test('goes where the claim is mounted when one node only can have it, and anywhere else otherwise', () => {
    const claim = (...accessModes: string[]): Claim =>
      ({ metadata: { name: 'backup-pvc' }, spec: { accessModes } }) as Claim;
    const user = (phase: string, claimName: string, nodeName?: string): Pod =>
      pod(phase, { spec: { containers: [], nodeName, volumes: [{ persistentVolumeClaim: { claimName } }] } });
    const others = [
      user('Succeeded', 'backup-pvc', 'n1'),
      user('Running', 'other', 'n2'),
      user('Pending', 'backup-pvc'),
    ];
    expect(boundTo(claim('ReadWriteOnce'), others)).toBeNull();
    const all = [...others, user('Running', 'backup-pvc', 'n3')];
    expect(boundTo(claim('ReadWriteOnce'), all)).toEqual({ node: 'n3', pod: name });
    expect(boundTo(claim('ReadWriteOnce', 'ReadWriteMany'), all)).toBeNull();
    expect(JSON.stringify(readerPod(policy, { ...made, node: 'n3' }).spec['affinity'])).toContain(
      '"values":["n3"]',
    );
  });

  test('of another restore is left alone, of an earlier attempt or of nobody it is taken away', () => {
    expect(isLeftOver(pod('Running'), made.owner, NOW)).toBe(true);
    expect(isLeftOver(pod('Running'), 'another/run', NOW)).toBe(false);
    expect(isLeftOver(pod('Pending'), 'another/run', NOW)).toBe(false);
    expect(isLeftOver(pod('Pending', { ageMs: 3_600_000 }), 'another/run', NOW)).toBe(true);
    expect(isLeftOver(pod('Succeeded'), 'another/run', NOW)).toBe(true);
    const stranger = pod('Failed');
    stranger.metadata.labels = {};
    expect(isLeftOver(stranger, made.owner, NOW)).toBe(false);
  });

  test('that does not start says why, in time', () => {
    const waits = (since: number) => podSight(pod('Pending', { ageMs: since }), NOW, 180_000);
    expect(waits(1_000)).toMatchObject({ state: 'starting' });
    expect(waits(200_000)).toMatchObject({ state: 'failed', reason: expect.stringContaining('3 minutes') });
    const sight = (status: object) => podSight(pod('Failed', { status }), NOW, 180_000);
    expect(sight({ phase: 'Failed', reason: 'Evicted', message: 'node is low on memory' })).toEqual({
      state: 'taken',
      reason: `pod ${name} was taken away: Evicted: node is low on memory`,
    });
    const terminated = { exitCode: 1, reason: 'Error', message: 'bash: cd: /backup: Permission denied' };
    const ended = { phase: 'Failed', containerStatuses: [{ name: 'backup', state: { terminated } }] };
    expect(sight(ended)).toMatchObject({
      state: 'failed',
      reason: expect.stringContaining('Permission denied'),
    });
    const conditions = [{ type: 'DisruptionTarget', status: 'True' }];
    expect(sight({ ...ended, conditions })).toMatchObject({ state: 'taken' });
    const containerStatuses = [{ name: 'backup', state: { running: {} } }];
    const running = pod('Running', { status: { phase: 'Running', containerStatuses } });
    expect(podSight(running, NOW, 180_000)).toEqual({ state: 'running' });
  });

  test('prints a file from any byte on, byte for byte', () => {
    const folder = mkdtempSync(join(tmpdir(), 'slipway-read-'));
    try {
      const bytes = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * 31) % 256));
      writeFileSync(join(folder, 'a.gz'), bytes);
      for (const from of [0, 1, 1 << 20, 2_999_999, 3_000_000]) {
        const [program = '', ...args] = readCommand(join(folder, 'a.gz'), from);
        const out = execFileSync(program, args, { maxBuffer: 8 << 20 });
        expect(out.equals(bytes.subarray(from))).toBe(true);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

test('the rights that a restore lacks are said with the rule to add, which opens no other pod', () => {
  const access = READER_ACCESS_RULES.flatMap(({ group, resource, verbs }) =>
    verbs.map((verb) => ({ group, resource, verb, allowed: false })),
  );
  const [, , exec] = accessFindings({ access, namespace: 'e' }, READER_ACCESS_RULES);
  expect(exec?.fix).toBe(
    `add to its Role in e: { apiGroups: [""], resources: ["pods/exec"], resourceNames: ${JSON.stringify(READER_NAMES)}, verbs: ["create","get"] }`,
  );
});

describe('the backup on a claim that is meant', () => {
  const all = [
    { id: 'dump-4', owner: 'x/r', at: '2999-01-01T00:00:00Z' },
    { id: 'dump-3', owner: `${beforeRestoreId('restore.shop-1')}/r`, at: '2026-11-23T03:00:00Z' },
    { id: 'dump-2', owner: 'x/r', at: '2026-11-22T02:00:00Z' },
    { id: 'dump-1', owner: 'x/r', at: '2026-11-21T02:00:00Z' },
  ];
  const pick = (choice: Parameters<typeof pickBackup>[2]) =>
    pickBackup(all, ({ at }) => at, choice, 'policy shop at PVC e/backup-pvc').id;

  test('is the newest that has come and that no restore has replaced, or the one that is named, or that of a time', () => {
    expect(pick({ latest: true })).toBe('dump-2');
    expect(pick({ id: 'dump-3' })).toBe('dump-3');
    expect(pick({ id: 'dump-1.gz' })).toBe('dump-1');
    expect(pick({ at: '2026-11-22T01:59:59Z' })).toBe('dump-1');
  });

  test('is not guessed: what is not there is said with what there is', () => {
    expect(() => pick({ id: 'dump-9' })).toThrow(BackupUnknownError);
    expect(() => pick({ id: 'dump-9' })).toThrow(
      'no verified backup dump-9 of policy shop at PVC e/backup-pvc; the newest are dump-4, dump-3',
    );
  });
});
