/** The schema of `backup.yaml`, and the way from its text to a {@link BackupPolicy}. */
import * as z from 'zod';
import { destination } from './backup-destination.ts';
import {
  environmentVariable,
  isSecretPlace,
  namespace,
  path,
  secretKey,
  secretName,
} from './backup-secrets.ts';
import { source, uriFrom } from './backup-source.ts';
import type { BackupPolicy } from './backup.types.ts';
import { check } from './check.ts';
import { refuseCredentials } from './credentials.ts';
import { cronFields } from './cron.ts';
import { allowed, dnsLabel, duration, fields, text, wholeNumber } from './fields.ts';
import { oneOf, sentence } from './rules.ts';
import { readDocument } from './yaml.ts';

const timezone = z
  .string(allowed('an IANA time zone such as Europe/Berlin or UTC'))
  .refine(isTimezone, allowed('an IANA time zone such as Europe/Berlin or UTC'))
  .default('UTC');

function isTimezone(name: string): boolean {
  // Offsets such as +01:00 are understood here but not by the Temporal server.
  if (!/^[A-Za-z][\w+/-]*$/.test(name)) return false;
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

const schedule = fields({
  at: text('a time of day in quotes, from "00:00" to "23:59"', 5, /^([01]\d|2[0-3]):[0-5]\d$/).optional(),
  cron: z
    .string(allowed('a cron expression of five fields, such as "0 2 * * *"'))
    .max(256, allowed('a cron expression of five fields, such as "0 2 * * *"'))
    .superRefine((value, context) => {
      const parsed = cronFields(value);
      if (typeof parsed === 'string') sentence(context, [], parsed);
    })
    .optional(),
  timezone,
}).superRefine(oneOf(['at', 'cron']));

const keyPlace = () =>
  fields({
    env: environmentVariable().optional(),
    file: path('a file of the worker').optional(),
    secret: fields({ namespace: namespace(), name: secretName(), key: secretKey() }).optional(),
  }).superRefine(oneOf(['env', 'file', 'secret']));

const encryption = fields({
  keyFrom: keyPlace().describe('Holds the key that new backups and slices are encrypted with.'),
  olderKeys: z
    .array(keyPlace(), allowed('a list of places, each like keyFrom'))
    .max(20, allowed('at most 20 older keys'))
    .default([])
    .describe('Where the keys are that were in keyFrom before; what they encrypted is read with them.'),
});

const KEEPERS = ['days', 'last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;
const count = () => wholeNumber(1, 10_000).optional();

const retention = fields({
  days: count().describe('Keep all of the last so many days, counted back from the newest verified backup.'),
  last: count().describe('Keep the newest so many.'),
  hourly: count(),
  daily: count(),
  weekly: count(),
  monthly: count(),
  yearly: count(),
  keepAtLeast: wholeNumber(1, 10_000)
    .default(1)
    .describe('Never fewer verified backups than this, whatever the other rules say.'),
}).superRefine((value, context) => {
  if (KEEPERS.every((keeper) => value[keeper] === undefined)) {
    sentence(context, [], `says nothing about what to keep; needed: at least one of ${KEEPERS.join(', ')}`);
  }
});

/** As the seed keeps them: the files of seven days. */
const DEFAULT_RETENTION = { days: 7, keepAtLeast: 3 };

const pointInTime = fields({
  sliceEvery: duration(10_000, 3_600_000).describe(
    'A slice of the oplog is stored this often: the writes that a lost server can cost at most.',
  ),
  keepFor: duration(3_600_000, 366 * 86_400_000)
    .nullable()
    .default(null)
    .describe(
      'How far back every moment stays reachable, counted from the newest slice; as far as there are backups when absent.',
    ),
}).describe('Continuous slices of the oplog, so that any moment can be restored. Needs a replica set.');

const body = fields({
  source,
  schedule,
  destination,
  compression: z
    .enum(['none', 'gzip', 'zstd'], allowed('none, gzip or zstd'))
    .default('gzip')
    .describe('gzip is what mongorestore --gzip reads; zstd needs zstd -d before it.'),
  encryption: encryption.nullable().default(null),
  retention: retention.default(DEFAULT_RETENTION),
  drill: fields({
    every: duration(60_000),
    into: fields({ uriFrom }).nullable().default(null),
  })
    .nullable()
    .default(null),
  alarm: fields({ noVerifiedBackupFor: duration(60_000) })
    .nullable()
    .default(null),
  throttle: fields({ mbPerSecond: wholeNumber(1, 100_000) })
    .nullable()
    .default(null),
  pointInTime: pointInTime.nullable().default(null),
});

/** In a Job mongodump does the work: what it cannot do is refused. */
function jobRules(value: z.output<typeof body>, context: z.core.$RefinementCtx): void {
  const { job: inCluster } = value.destination;
  if (inCluster === undefined) return;
  const needed = `destination.job: the Job reads the password from a Secret of its own namespace (${inCluster.namespace})`;
  if (value.source.uriFrom.secret?.namespace !== inCluster.namespace) {
    sentence(
      context,
      ['source', 'uriFrom'],
      `must be a secret of namespace ${inCluster.namespace} with ${needed}`,
    );
  }
  if (value.source.uriFrom.secret?.srv !== undefined) {
    sentence(
      context,
      ['source', 'uriFrom', 'secret', 'srv'],
      'does not go with destination.job; let the key hold the whole connection string (mongodb+srv://...), without host',
    );
  }
  const single = value.source.databases === null || value.source.databases.length === 1;
  if (!single || value.source.include.length > 0 || value.source.exclude.length > 0) {
    sentence(
      context,
      ['source'],
      'with destination.job mongodump takes one database or all of them, without include and exclude',
    );
  }
  for (const name of ['encryption', 'throttle', 'pointInTime'] as const) {
    if (value[name] !== null) {
      sentence(context, [name], 'does not go with destination.job, where mongodump does the work');
    }
  }
  if (value.compression === 'zstd') {
    sentence(context, ['compression'], 'found "zstd"; allowed with destination.job: none or gzip');
  }
}

const backupPolicySchema = fields({
  apiVersion: z.literal('slipway/v1', allowed('slipway/v1')),
  kind: z.literal('BackupPolicy', allowed('BackupPolicy')),
  metadata: fields({ name: dnsLabel('a name for the policy') }),
  spec: body.superRefine(jobRules),
});

interface ParsePolicyOptions {
  /** What the text came from, for messages; `backup policy` when absent. */
  source?: string;
}

/** A policy from YAML or JSON text, checked and with every default filled in. Throws SpecError. */
export function parseBackupPolicy(textOfPolicy: string, options: ParsePolicyOptions = {}): BackupPolicy {
  const name = options.source ?? 'backup policy';
  const document = readDocument(textOfPolicy, name);
  refuseCredentials(document.value, name, (at) => document.locate(at));
  return check(backupPolicySchema, {
    source: name,
    value: document.value,
    document,
    hidden: isSecretPlace,
  }) as BackupPolicy;
}

/** JSON Schema (draft 2020-12) of what people write, for editors. */
export function backupPolicyJsonSchema(): Record<string, unknown> {
  return {
    ...z.toJSONSchema(backupPolicySchema, { io: 'input', target: 'draft-2020-12' }),
    title: 'Slipway backup policy',
    description: 'What is backed up, when, where to, and how long it is kept.',
  };
}
