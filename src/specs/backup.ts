/** The schema of `backup.yaml`, and the way from its text to a {@link BackupPolicy}. */
import * as z from 'zod';
import type { BackupPolicy } from './backup.types.ts';
import { check } from './check.ts';
import { refuseCredentials } from './credentials.ts';
import { cronFields } from './cron.ts';
import {
  allowed,
  dnsLabel,
  dnsSubdomain,
  duration,
  fields,
  flag,
  imageReference,
  text,
  wholeNumber,
} from './fields.ts';
import { readDocument } from './yaml.ts';

function sentence(context: z.core.$RefinementCtx, path: PropertyKey[], message: string): void {
  context.addIssue({ code: 'custom', path, message, params: { sentence: true } });
}

/** Exactly one of `kinds` is given; otherwise a problem that names them. */
function oneOf<T extends Record<string, unknown>>(kinds: (keyof T & string)[], what: string) {
  return (value: T, context: z.core.$RefinementCtx) => {
    const given = kinds.filter((kind) => value[kind] !== undefined);
    if (given.length === 1) return;
    const found = given.length === 0 ? 'none of them' : given.join(' and ');
    sentence(context, [], `found ${found}; allowed: exactly one of ${kinds.join(', ')}${what}`);
  };
}

const environmentVariable = () =>
  text(
    'the name of an environment variable of the worker, such as MONGODB_URI (not its value)',
    128,
    /^[A-Za-z_][A-Za-z0-9_]*$/,
  );
const secretKey = () => text('a key of the Secret, such as mongo-password', 253, /^[-._a-zA-Z0-9]+$/);
const secretName = () => dnsSubdomain('the name of a Secret');
const namespace = () => dnsLabel('a namespace');
const path = (what: string) => text(`${what}, beginning with /`, 1024, /^\/[^\0]*$/);

const uriSecret = fields({
  namespace: namespace(),
  name: secretName(),
  key: secretKey().describe('Holds the password when host is given, else the whole connection string.'),
  host: text(
    'one or more hosts such as mongodb-0.mongodb:27017, comma separated, without user and password',
    1024,
    /^[A-Za-z0-9.-]+(:\d{1,5})?(,[A-Za-z0-9.-]+(:\d{1,5})?)*$/,
  ).optional(),
  username: text('a user name of up to 128 characters', 128).optional(),
  authSource: text('the database that knows the user, such as admin', 63).optional(),
  replicaSet: text('the name of the replica set', 128, /^[\w.-]+$/).optional(),
  tls: flag().optional(),
  srv: flag().optional().describe('Look the hosts up by DNS, as mongodb+srv:// does.'),
}).superRefine((value, context) => {
  const needsHost = (['username', 'authSource', 'replicaSet', 'tls', 'srv'] as const).filter(
    (name) => value[name] !== undefined,
  );
  if (value.host === undefined && needsHost.length > 0) {
    sentence(
      context,
      ['host'],
      `missing; needed with ${needsHost.join(', ')}, for then the key holds a password only`,
    );
  }
  if (value.host !== undefined && value.username === undefined) {
    sentence(context, ['username'], 'missing; needed with host, for then the key holds a password only');
  }
});

const uriFrom = fields({
  env: environmentVariable().optional(),
  secret: uriSecret.optional(),
}).superRefine(oneOf(['env', 'secret'], ''));

const database = text(
  'a database name of up to 63 characters, without / \\ . " $ * < > : | ? or spaces',
  63,
  /^[^/\\. "$*<>:|?\0]+$/,
);
const pattern = text(
  'a namespace such as shop.orders, with * for any text, such as shop.* or *.cache_*',
  255,
  /^[^.\0]+\..+$/,
);

const source = fields({
  uriFrom: uriFrom.describe('Where the worker finds the connection string; never the string itself.'),
  databases: z
    .array(database, allowed('a list of database names'))
    .min(1, allowed('at least one database; leave the field out to back up all'))
    .nullable()
    .default(null),
  include: z.array(pattern, allowed('a list of namespaces such as shop.*')).default([]),
  exclude: z.array(pattern, allowed('a list of namespaces such as shop.cache_*')).default([]),
}).superRefine((value, context) => {
  if (value.databases !== null && value.include.length > 0) {
    sentence(context, ['include'], 'does not go with databases; write databases as patterns, such as shop.*');
  }
});

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
  at: text('a time of day in quotes, such as "02:00"', 5, /^([01]\d|2[0-3]):[0-5]\d$/).optional(),
  cron: z
    .string(allowed('a cron expression of five fields, such as "0 2 * * *"'))
    .max(256, allowed('a cron expression of five fields, such as "0 2 * * *"'))
    .superRefine((value, context) => {
      const parsed = cronFields(value);
      if (typeof parsed === 'string') sentence(context, [], parsed);
    })
    .optional(),
  timezone,
}).superRefine(oneOf(['at', 'cron'], ''));

const s3Credentials = fields({
  env: fields({
    accessKeyId: environmentVariable(),
    secretAccessKey: environmentVariable(),
    sessionToken: environmentVariable().optional(),
  }).optional(),
  secret: fields({
    namespace: namespace(),
    name: secretName(),
    accessKeyIdKey: secretKey(),
    secretAccessKeyKey: secretKey(),
  }).optional(),
}).superRefine(oneOf(['env', 'secret'], ''));

const s3 = fields({
  endpoint: z
    .string(allowed('the address of an S3 server, such as https://s3.example.com'))
    .refine(isEndpoint, allowed('the address of an S3 server, such as https://s3.example.com'))
    .nullable()
    .default(null),
  region: text('a region such as eu-central-1', 64, /^[a-z0-9-]+$/).default('us-east-1'),
  bucket: text(
    'a bucket name: 3 to 63 lower-case letters, digits, dashes and dots',
    63,
    /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/,
  ),
  prefix: z
    .string(allowed('a prefix such as backups/shop'))
    .max(512, allowed('a prefix of up to 512 characters'))
    .transform((value) => value.replaceAll(/^\/+|\/+$/g, ''))
    .default(''),
  forcePathStyle: flag().optional(),
  credentialsFrom: s3Credentials.nullable().default(null),
}).transform((value) => ({ ...value, forcePathStyle: value.forcePathStyle ?? value.endpoint !== null }));

function isEndpoint(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const { protocol, username, password, search, hash } = new URL(value);
  return /^https?:$/.test(protocol) && username === '' && password === '' && search === '' && hash === '';
}

const quantities = z.partialRecord(
  z.enum(['cpu', 'memory', 'ephemeral-storage'], allowed('cpu, memory or ephemeral-storage')),
  text('a quantity such as 500m or 512Mi', 32, /^\d+(\.\d+)?([mkKMGTPE]|[KMGTPE]i)?$/),
);

const job = fields({
  namespace: namespace(),
  image: imageReference(),
  pvc: dnsSubdomain('the name of a PersistentVolumeClaim'),
  mountPath: path('a directory').default('/backup'),
  serviceAccount: dnsSubdomain('the name of a ServiceAccount').nullable().default(null),
  backoffLimit: wholeNumber(0, 20).default(2),
  deadline: duration(60_000).default('6h'),
  ttl: duration(60_000)
    .default('7d')
    .describe(
      'Finished Jobs are deleted after this time by the cluster itself; the history limits delete them earlier.',
    ),
  history: fields({
    successful: wholeNumber(0, 100).default(3),
    failed: wholeNumber(0, 100).default(3),
  }).prefault({}),
  resources: fields({
    requests: quantities.default({ cpu: '100m', memory: '256Mi' }),
    limits: quantities.default({ memory: '512Mi' }),
  }).prefault({}),
});

const destination = fields({
  directory: path('a directory of the worker').optional(),
  s3: s3.optional(),
  job: job.optional(),
}).superRefine(oneOf(['directory', 's3', 'job'], ''));

const encryption = fields({
  keyFrom: fields({
    env: environmentVariable().optional(),
    file: path('a file of the worker').optional(),
    secret: fields({ namespace: namespace(), name: secretName(), key: secretKey() }).optional(),
  }).superRefine(oneOf(['env', 'file', 'secret'], '')),
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

const spec = fields({
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
}).superRefine((value, context) => {
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
  for (const name of ['encryption', 'drill', 'throttle', 'pointInTime'] as const) {
    if (value[name] !== null) {
      sentence(context, [name], 'does not go with destination.job, where mongodump does the work');
    }
  }
  if (value.compression === 'zstd') {
    sentence(context, ['compression'], 'found "zstd"; allowed with destination.job: none or gzip');
  }
});

export const backupPolicySchema = fields({
  apiVersion: z.literal('slipway/v1', allowed('slipway/v1')),
  kind: z.literal('BackupPolicy', allowed('BackupPolicy')),
  metadata: fields({ name: dnsLabel('a name for the policy') }),
  spec,
});

export interface ParsePolicyOptions {
  /** What the text came from, for messages; `backup policy` when absent. */
  source?: string;
}

/** A policy from YAML or JSON text, checked and with every default filled in. Throws SpecError. */
export function parseBackupPolicy(textOfPolicy: string, options: ParsePolicyOptions = {}): BackupPolicy {
  const name = options.source ?? 'backup policy';
  const document = readDocument(textOfPolicy, name);
  refuseCredentials(document.value, name, (at) => document.locate(at));
  return check(backupPolicySchema, { source: name, value: document.value, document }) as BackupPolicy;
}

/** JSON Schema (draft 2020-12) of what people write, for editors. */
export function backupPolicyJsonSchema(): Record<string, unknown> {
  return {
    ...z.toJSONSchema(backupPolicySchema, { io: 'input', target: 'draft-2020-12' }),
    title: 'Slipway backup policy',
    description: 'What is backed up, when, where to, and how long it is kept.',
  };
}
