/**
 * An area at the bottom of the terminal that is redrawn in place. Every line is cut to the width, so a frame is as high
 * as it has lines; when the window shrinks, terminals wrap what is already there, so the height is counted again.
 */
import cliTruncate from 'cli-truncate';
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

/** What is wanted from the reader stands at the end, so a frame that is too high loses its middle. */
function fit(lines: string[], columns: number, rows: number): string[] {
  const most = Math.max(3, rows - 1);
  const head = Math.min(4, Math.floor(most / 3));
  const kept =
    lines.length <= most
      ? lines
      : [...lines.slice(0, head), '...', ...lines.slice(lines.length - (most - head - 1))];
  return kept.map((line) => cliTruncate(line, Math.max(10, columns - 1)));
}

/** Rows that a frame takes in a window of this width. */
function height(frame: string[], columns: number): number {
  return frame.reduce((sum, line) => sum + Math.max(1, Math.ceil(width(line) / Math.max(1, columns))), 0);
}
