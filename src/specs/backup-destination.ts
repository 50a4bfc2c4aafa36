/** Where archives go: a directory of the worker, S3, or a PVC by a Job in the cluster. */
import * as z from 'zod';
import { environmentVariable, namespace, path, secretKey, secretName } from './backup-secrets.ts';
import {
  allowed,
  dnsSubdomain,
  duration,
  fields,
  flag,
  imageReference,
  text,
  wholeNumber,
} from './fields.ts';
import { oneOf } from './rules.ts';

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
}).superRefine(oneOf(['env', 'secret']));

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

/** `spec.destination`. */
export const destination = fields({
  directory: path('a directory of the worker').optional(),
  s3: s3.optional(),
  job: job.optional(),
}).superRefine(oneOf(['directory', 's3', 'job']));
