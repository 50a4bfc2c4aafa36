/** Bearer tokens: up to two are good at a time, so that one can be replaced without a gap. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { BadSetting } from '../client/errors.ts';
import type { Environment } from '../observability/settings.ts';

const SHORTEST = 16;
const MOST = 2;
/** How often a token file is looked at for a change. */
const RELOAD_MS = 2_000;

export interface Tokens {
  /** Whether an Authorization header carries a good token; takes the same time whatever it carries. */
  accept(header: string | undefined): boolean;
}

/**
 * SLIPWAY_GATEWAY_TOKEN, or the file named by SLIPWAY_GATEWAY_TOKEN_FILE: one token, or two separated by a comma or line
 * break. The file is read again when it changes. Throws {@link BadSetting}, never with a token in it.
 */
export function tokensFrom(env: Environment, onReloadError: (error: unknown) => void): Tokens {
  const text = env['SLIPWAY_GATEWAY_TOKEN'];
  const file = env['SLIPWAY_GATEWAY_TOKEN_FILE'];
  if (text && file) {
    throw new BadSetting(
      'SLIPWAY_GATEWAY_TOKEN and SLIPWAY_GATEWAY_TOKEN_FILE are both set; set one of them',
    );
  }
  if (text) {
    const digests = digestsOf(text, 'SLIPWAY_GATEWAY_TOKEN');
    return { accept: (header) => accepts(digests, header) };
  }
  if (file) return tokenFile(file, onReloadError);
  throw new BadSetting(
    'SLIPWAY_GATEWAY_TOKEN is not set; the gateway needs it (or SLIPWAY_GATEWAY_TOKEN_FILE) to know who may post alerts',
  );
}

function tokenFile(path: string, onReloadError: (error: unknown) => void): Tokens {
  let { digests, changed } = readTokenFile(path);
  let looked = Date.now();
  return {
    accept(header) {
      if (Date.now() - looked > RELOAD_MS) {
        looked = Date.now();
        try {
          if (changedAt(path) !== changed) ({ digests, changed } = readTokenFile(path));
        } catch (error) {
          // A file that is being replaced may be missing or empty for a moment: the known tokens stay good.
          onReloadError(error);
        }
      }
      return accepts(digests, header);
    },
  };
}

function readTokenFile(path: string): { digests: Buffer[]; changed: number } {
  try {
    const changed = changedAt(path);
    return { digests: digestsOf(readFileSync(path, 'utf8'), 'SLIPWAY_GATEWAY_TOKEN_FILE'), changed };
  } catch (error) {
    if (error instanceof BadSetting) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw new BadSetting(`SLIPWAY_GATEWAY_TOKEN_FILE: ${path} cannot be read (${code ?? 'unknown error'})`, {
      cause: error,
    });
  }
}

function changedAt(path: string): number {
  return statSync(path).mtimeMs;
}

function digestsOf(text: string, setting: string): Buffer[] {
  const tokens = text.split(/[,\s]+/).filter((token) => token !== '');
  if (tokens.length === 0 || tokens.length > MOST) {
    throw new BadSetting(
      `${setting}: found ${tokens.length} tokens, allowed are 1 or ${MOST} (comma or line break between them)`,
    );
  }
  if (tokens.some((token) => token.length < SHORTEST)) {
    throw new BadSetting(
      `${setting}: a token has fewer than ${SHORTEST} characters; e.g. \`openssl rand -hex 32\` makes a good one`,
    );
  }
  return tokens.map(digest);
}

function accepts(digests: readonly Buffer[], header: string | undefined): boolean {
  const token = /^bearer +(\S+) *$/i.exec(header ?? '')?.[1] ?? '';
  const given = digest(token);
  // Digests have one length, and every one is compared: neither length nor position shows in the time it takes.
  return digests.map((each) => timingSafeEqual(each, given)).includes(true);
}

function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
