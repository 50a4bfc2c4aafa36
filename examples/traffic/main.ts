/** The traffic generator as a command: `node examples/traffic/main.ts --url http://HOST:8080/products --rps 50 --duration 30s`. */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { DURATION_FORM, parseDuration } from '../../src/specs/duration.ts';
import { generateTraffic, type Failure, type Snapshot, type Traffic } from './generate.ts';

const USAGE = `Usage: node examples/traffic/main.ts --url URL [--url URL ...] [options]

Sends requests at a steady rate and reports every one that fails.

  --url URL          what to ask; may be given several times, asked in turn
  --rps N            requests per second (default 20)
  --duration TIME    stop after 30s, 5m, 1h (default: at Ctrl-C)
  --timeout TIME     for one request (default 5s)
  --report TIME      a line of counts this often (default 5s)
  -o, --output KIND  text (default) or json, one object a line

Exit codes: 0 no request failed, 1 some did, 2 bad input.`;

class BadInput extends Error {}

interface Arguments {
  urls: string[];
  rps: number;
  durationMs: number | undefined;
  timeoutMs: number;
  reportMs: number;
  json: boolean;
}

/** The longest time that a timer can wait, nearly 25 days. */
const FOREVER_MS = 2 ** 31 - 1;

function time(flag: string, text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms === 0 || ms > FOREVER_MS) {
    throw new BadInput(`${flag}: found "${text}", allowed is ${DURATION_FORM}, above 0 and below 25d`);
  }
  return ms;
}

function parse(argv: string[]): Arguments | 'help' {
  const { values } = parseArgs({
    args: argv,
    options: {
      url: { type: 'string', multiple: true, default: [] },
      rps: { type: 'string', default: '20' },
      duration: { type: 'string' },
      timeout: { type: 'string', default: '5s' },
      report: { type: 'string', default: '5s' },
      output: { type: 'string', short: 'o', default: 'text' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return 'help';
  if (values.url.length === 0) throw new BadInput('--url: found none, at least one is needed');
  if (values.output !== 'text' && values.output !== 'json') {
    throw new BadInput(`--output: found "${values.output}", allowed are text and json`);
  }
  return {
    urls: values.url,
    rps: Number(values.rps),
    durationMs: values.duration === undefined ? undefined : time('--duration', values.duration),
    timeoutMs: time('--timeout', values.timeout),
    reportMs: time('--report', values.report),
    json: values.output === 'json',
  };
}

function failureLine(failure: Failure): string {
  const from = [failure.version, failure.pod].filter((part) => part !== undefined).join(' ');
  return `${failure.at.toISOString()} FAILED ${failure.kind} ${failure.message} ${failure.url}${from && ` from ${from}`}`;
}

function countsLine(snapshot: Snapshot): string {
  const versions = Object.entries(snapshot.byVersion).map(
    ([version, { ok, failed }]) => `${version} ${ok}/${failed}`,
  );
  const ms = (value: number | undefined) => (value === undefined ? '-' : `${value.toFixed(1)} ms`);
  return (
    `${new Date().toISOString()} ok ${snapshot.ok}, failed ${snapshot.failed}, p50 ${ms(snapshot.p50)}, p99 ${ms(snapshot.p99)}` +
    ` | ok/failed by version: ${versions.join(', ') || 'none yet'}`
  );
}

function start({ urls, rps, timeoutMs, json }: Arguments): Traffic {
  const onFailure = (failure: Failure) =>
    console.log(json ? JSON.stringify({ failure }) : failureLine(failure));
  try {
    return generateTraffic({ urls, rps, timeoutMs, onFailure });
  } catch (error) {
    throw new BadInput((error as Error).message);
  }
}

function report(snapshot: Snapshot, json: boolean): void {
  const { failures: _, ...counts } = snapshot;
  console.log(json ? JSON.stringify(counts) : countsLine(snapshot));
}

async function main(): Promise<number> {
  const parsed = parse(process.argv.slice(2));
  if (parsed === 'help') {
    console.log(USAGE);
    return 0;
  }
  const stopped = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopped.abort());
  await using traffic = start(parsed);
  const reports = setInterval(() => report(traffic.snapshot(), parsed.json), parsed.reportMs);
  await sleep(parsed.durationMs ?? FOREVER_MS, undefined, { signal: stopped.signal }).catch(() => {});
  clearInterval(reports);
  const final = await traffic.stop();
  report(final, parsed.json);
  return final.failed === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  const usage =
    error instanceof BadInput || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS') === true;
  console.error(usage ? `${(error as Error).message}\n\n${USAGE}` : error);
  process.exitCode = usage ? 2 : 1;
}
