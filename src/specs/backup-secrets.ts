/** How a policy names what is secret: the variable, file or Secret that holds it, never the value. */
import { dnsLabel, dnsSubdomain, text } from './fields.ts';

export const environmentVariable = () =>
  text(
    'the name of an environment variable of the worker, such as MONGODB_URI (not its value)',
    128,
    /^[A-Za-z_][A-Za-z0-9_]*$/,
  );
export const secretKey = () => text('a key of the Secret, such as mongo-password', 253, /^[-._a-zA-Z0-9]+$/);
export const secretName = () => dnsSubdomain('the name of a Secret');
export const namespace = () => dnsLabel('a namespace');
export const path = (what: string) => text(`${what}, beginning with /`, 1024, /^\/[^\0]*$/);
