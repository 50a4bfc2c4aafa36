/**
 * Saves the history of one release for test/replay:
 * `TEMPORAL_ADDRESS=... node test/replay/save.ts NAME WORKFLOW_ID [RUN_ID]` writes test/replay/NAME.history.json.
 */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { provision } from '../../lab/provision.ts';

/** Names of machines, and folders in stack traces, are nobody's business. */
export function anonymous(json: string): string {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  return json
    .replaceAll(root, '')
    .replaceAll(/"identity": *"[^"]*"/g, '"identity": "worker"')
    .replaceAll(/\b\d+@[\w.-]+/g, '1@worker')
    .replaceAll(/"stackTrace": *"(?:[^"\\]|\\.)*"/g, '"stackTrace": ""');
}

function replaced(json: string, places: Readonly<Record<string, string>>): string {
  const within = (text: string) =>
    Object.entries(places).reduce((rest, [place, other]) => rest.replaceAll(place, other), text);
  return within(json).replaceAll(/"data": *"([A-Za-z0-9+/]+=*)"/g, (whole, data: string) => {
    const text = Buffer.from(data, 'base64').toString('utf8');
    const other = within(text);
    return other === text ? whole : `"data": "${Buffer.from(other).toString('base64')}"`;
  });
}

/** The server's own tool writes the history as every SDK reads it. */
/** `places`: texts that belong to this machine, and what to write instead, also within payloads. */
export async function save(
  address: string,
  name: string,
  id: string,
  run?: string,
  places: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { temporal } = await provision(['temporal']);
  const args = ['workflow', 'show', '--address', address, '--output', 'json', '--workflow-id', id];
  const { stdout } = await promisify(execFile)(
    temporal?.path ?? 'temporal',
    run ? [...args, '--run-id', run] : args,
    { maxBuffer: 64 * 1024 * 1024, timeout: 60_000 },
  );
  writeFileSync(new URL(`${name}.history.json`, import.meta.url), anonymous(replaced(stdout, places)));
}

if (import.meta.main) {
  const [name, id, run] = process.argv.slice(2);
  if (!name || !id) throw new Error('usage: node test/replay/save.ts NAME WORKFLOW_ID [RUN_ID]');
  await save(process.env['TEMPORAL_ADDRESS'] ?? '127.0.0.1:7233', name, id, run);
}
