/** Writes the help of every command into docs/cli.md, below the marker. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { cliReference } from '../src/cli/reference.ts';

const file = fileURLToPath(new URL('../docs/cli.md', import.meta.url));
const MARKER = '<!-- Below this line: node scripts/cli-docs.ts -->\n';

const [head] = readFileSync(file, 'utf8').split(MARKER);
writeFileSync(file, `${head}${MARKER}\n${cliReference()}`);
