/**
 * An area at the bottom of the terminal that is redrawn in place. Terminals wrap long lines, and wrap again when the
 * window changes, so the height of what is on the screen is counted for the width of this moment.
 */
import type { Session } from '../session.ts';
import { width } from './text.ts';

const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const ERASE_BELOW = '\u001b[J';

export class LiveArea {
  readonly #session: Pick<Session, 'write' | 'terminal'>;
  readonly #stopListening: () => void;
  #frame: string[] = [];
  #lines: string[] = [];
  #closed = false;

  constructor(session: Pick<Session, 'write' | 'terminal'>) {
    this.#session = session;
    session.write(HIDE_CURSOR);
    this.#stopListening = session.terminal.onResize(() => this.#paint(true));
  }

  /** Shows `lines` in place of those shown before. */
  draw(lines: string[]): void {
    this.#lines = lines;
    this.#paint(false);
  }

  /** Leaves the last frame on the screen and gives the cursor back. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopListening();
    this.#session.write(SHOW_CURSOR);
  }

  #paint(always: boolean): void {
    if (this.#closed) return;
    const { columns, rows } = this.#session.terminal;
    const frame = fit(this.#lines, columns, rows);
    if (!always && frame.join('\n') === this.#frame.join('\n')) return;
    const up = height(this.#frame, columns);
    this.#session.write(
      `${up > 0 ? `\u001b[${up}A` : ''}\r${ERASE_BELOW}${frame.map((line) => `${line}\n`).join('')}`,
    );
    this.#frame = frame;
  }
}

/**
 * What is wanted from the reader stands at the end, so a frame that is too high loses its middle. Lines are never cut:
 * commands are there to be pasted, and the terminal wraps them.
 */
function fit(lines: string[], columns: number, rows: number): string[] {
  const most = Math.max(3, rows - 1);
  if (height(lines, columns) <= most) return lines;
  const head = lines.slice(0, 1);
  const tail: string[] = [];
  let left = most - height(head, columns) - 1;
  for (const line of lines.slice(1).toReversed()) {
    left -= height([line], columns);
    if (left < 0) break;
    tail.unshift(line);
  }
  return [...head, '...', ...tail];
}

/** Rows that lines take in a window of this width. */
function height(lines: string[], columns: number): number {
  return lines.reduce((sum, line) => sum + Math.max(1, Math.ceil(width(line) / Math.max(1, columns))), 0);
}
