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

/** The server's own tool writes the history as every SDK reads it. */
export async function save(address: string, name: string, id: string, run?: string): Promise<void> {
  const { temporal } = await provision(['temporal']);
  const args = ['workflow', 'show', '--address', address, '--output', 'json', '--workflow-id', id];
  const { stdout } = await promisify(execFile)(
    temporal?.path ?? 'temporal',
    run ? [...args, '--run-id', run] : args,
    { maxBuffer: 64 * 1024 * 1024, timeout: 60_000 },
  );
  writeFileSync(new URL(`${name}.history.json`, import.meta.url), anonymous(stdout));
}

if (import.meta.main) {
  const [name, id, run] = process.argv.slice(2);
  if (!name || !id) throw new Error('usage: node test/replay/save.ts NAME WORKFLOW_ID [RUN_ID]');
  await save(process.env['TEMPORAL_ADDRESS'] ?? '127.0.0.1:7233', name, id, run);
}
