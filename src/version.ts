/** The version of this package; the bundler writes it in, from a checkout it is read. */
import { readFileSync } from 'node:fs';

declare const SLIPWAY_VERSION: string | undefined;

export const VERSION: string = typeof SLIPWAY_VERSION === 'string' ? SLIPWAY_VERSION : packageVersion();

function packageVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
