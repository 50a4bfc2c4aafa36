/** The text that a person hands over with --file: a path, or - for standard input. */
import { open } from 'node:fs/promises';
import { badInput, required } from './failure.ts';
import type { Session } from './session.ts';

/** No file that a person writes is longer; specs say so in their own words well below it. */
const MOST_BYTES = 1024 * 1024;

interface TextFile {
  text: string;
  /** What the text is called in messages. */
  source: string;
}

/** Throws a Failure that names the flag. A file of any length, or without end, is read to {@link MOST_BYTES} only. */
export async function readTextFile(session: Session, flag: string | undefined): Promise<TextFile> {
  const file = required(flag, '--file FILE');
  if (file === '-') return { source: 'standard input', text: await session.readStdin() };
  return { source: file, text: await readStart(file) };
}

async function readStart(path: string): Promise<string> {
  try {
    await using file = await open(path, 'r');
    const buffer = Buffer.alloc(MOST_BYTES);
    let length = 0;
    while (length < MOST_BYTES) {
      const { bytesRead } = await file.read(buffer, length, MOST_BYTES - length, null);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return buffer.toString('utf8', 0, length);
  } catch (error) {
    throw badInput(`--file: ${path} ${whyNot(error as NodeJS.ErrnoException)}`);
  }
}

function whyNot({ code, message }: NodeJS.ErrnoException): string {
  if (code === 'ENOENT') return 'does not exist';
  if (code === 'EISDIR') return 'is a directory; allowed: one file, or - for standard input';
  if (code === 'EACCES') return 'may not be read (permission denied)';
  return `cannot be read (${code ?? message})`;
}
