/** How a policy names what is secret: the variable, file or Secret that holds it, never the value. */
import { allowed, dnsLabel, dnsSubdomain, text } from './fields.ts';

const VARIABLE = 'the name of an environment variable of the worker, such as MONGODB_URI (not its value)';

export const environmentVariable = () =>
  text(VARIABLE, 128, /^[A-Za-z_][A-Za-z0-9_]*$/).refine((name) => !looksSecret(name), allowed(VARIABLE));

/** Keys of 32 bytes and those of S3 may begin with a letter; no variable is named like one. */
function looksSecret(name: string): boolean {
  return name.length >= 32 && !name.includes('_') && /\d/.test(name) && /[A-Za-z]/.test(name);
}

/** What stands in these places is a secret when somebody has not read the docs. */
const PLACES = new Set<PropertyKey>(['uriFrom', 'keyFrom', 'credentialsFrom', 'encryption']);
const HARMLESS = new Set<PropertyKey>(['namespace', 'name', 'authSource', 'replicaSet', 'tls', 'srv']);

/** Whether what is found at a path must not be shown. */
export function isSecretPlace(path: readonly PropertyKey[]): boolean {
  const last = path.at(-1);
  return path.some((key) => PLACES.has(key)) && last !== undefined && !HARMLESS.has(last);
}

export const secretKey = () => text('a key of the Secret, such as mongo-password', 253, /^[-._a-zA-Z0-9]+$/);
export const secretName = () => dnsSubdomain('the name of a Secret');
export const namespace = () => dnsLabel('a namespace');
export const path = (what: string) => text(`${what}, beginning with /`, 1024, /^\/[^\0]*$/);
