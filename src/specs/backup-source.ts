/** The source of a backup: where the connection string is, and what of the server is taken. */
import * as z from 'zod';
import { environmentVariable, namespace, secretKey, secretName } from './backup-secrets.ts';
import { allowed, fields, flag, text } from './fields.ts';
import { oneOf, sentence } from './rules.ts';

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

/** Where a connection string is found. */
export const uriFrom = fields({
  env: environmentVariable().optional(),
  secret: uriSecret.optional(),
}).superRefine(oneOf(['env', 'secret']));

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

const databases = z
  .array(database, allowed('a list of database names'))
  .min(1, allowed('at least one database; leave the field out to back up all'))
  .superRefine((names, context) => {
    for (const [i, name] of names.entries()) {
      if (names.indexOf(name) < i) sentence(context, [i], `${name} is listed twice`);
      if (name === 'local')
        sentence(context, [i], 'local is what a server keeps for itself, and is never backed up');
    }
  });

/** `spec.source`. */
export const source = fields({
  uriFrom: uriFrom.describe('Where the worker finds the connection string; never the string itself.'),
  databases: databases.nullable().default(null),
  include: z.array(pattern, allowed('a list of namespaces such as shop.*')).default([]),
  exclude: z.array(pattern, allowed('a list of namespaces such as shop.cache_*')).default([]),
}).superRefine((value, context) => {
  if (value.databases !== null && value.include.length > 0) {
    sentence(context, ['include'], 'does not go with databases; write databases as patterns, such as shop.*');
  }
});
