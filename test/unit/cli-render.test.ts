/** What people read at 3 a.m. */
import picocolors from 'picocolors';
import { describe, expect, test } from 'vitest';
import { LiveArea } from '../../src/cli/render/live.ts';
import { ProgressLines } from '../../src/cli/render/progress.ts';
import { renderResult, renderStatus } from '../../src/cli/render/status.ts';
import { plain, shortImage, span, table, width } from '../../src/cli/render/text.ts';
import { at, ended, NOW, releaseStatus } from './support/cli.ts';

const colors = picocolors.createColors(false);
const options = { colors, now: NOW, url: null };

describe('a release on the screen', () => {
  test('at a gate: where it is, how the pods are, and the commands to paste, last', () => {
    expect(renderStatus(releaseStatus(), options).join('\n')).toBe(`shop/web   AWAITING APPROVAL   step 2 of 3
v1 -> v2: cheaper search
started 4m ago, started by ci

  done  1  weight 25 % (1 new, 4 old)
> now   2  gate half (1 approval)
        3  promote to 100 %
  25 % is 20 % with 4 pods

stable  v1  aaa  4/4 ready
canary  v2  bbb  1/1 ready  20 %

02:56:00 UTC  weight 25 % (1 new, 4 old)
02:57:00 UTC  gate half (1 approval)

Wanted from you: 1 approval for gate half.
  slipway release approve shop/web --gate half --revision bbb --why "..."
  slipway release reject shop/web --gate half --revision bbb --why "..."
If nobody acts: in 57m (03:57:00 UTC) the gate expires and the release is rolled back.`);
  });

  test('steps that a person skipped are not said to be done', () => {
    const skipped = releaseStatus({ phase: 'guarding', step: null, gate: null, skippedFrom: 2 });
    const text = renderStatus(skipped, options).join('\n');
    expect(text).toMatch(/done +1 +weight 25 %/);
    expect(text).toMatch(/skipped +2 +gate half/);
    expect(text).toMatch(/done +3 +promote to 100 %/);
  });

  test('paused: by whom, why, and how to go on', () => {
    const paused = { by: 'bob', why: 'lunch', since: at(60) };
    const text = renderStatus(releaseStatus({ phase: 'paused', paused }), options).join('\n');
    expect(text).toContain('bob paused this 1m ago (lunch)');
    expect(text).toContain('slipway release resume shop/web');
  });

  test('refused by preflight: nothing was touched, and nothing is to be restored', () => {
    const status = ended('failed', 'preflight refused: no room');
    const refused = {
      ...status,
      canary: { ...status.canary, hash: null },
      findings: [{ check: 'quota', level: 'error' as const, message: 'no room' }],
    };
    const text = [...renderStatus(refused, options), renderResult(refused, colors)].join('\n');
    expect(text).toContain('REFUSED BY PREFLIGHT');
    expect(text).toContain('Refused: no room. Nothing was touched.');
    expect(text).not.toMatch(/restore|ready/);
  });

  test('failed later: what to do is said', () => {
    expect(renderStatus(ended('failed', 'lost'), options).join('\n')).toContain(
      'slipway restore deployment shop/web',
    );
  });

  test('what went wrong is named: pods, alerts, other hands', () => {
    const text = renderStatus(
      releaseStatus({
        problems: [{ pod: 'web-1', container: 'web', reason: 'CrashLoopBackOff', message: 'exit 1' }],
        alerts: [
          {
            fingerprint: 'f',
            status: 'firing',
            labels: { alertname: 'High' },
            annotations: { summary: '9 %' },
            startsAt: at(9),
          },
        ],
        drift: [{ id: 'd', field: 'spec.replicas', manager: 'kubectl', found: '9', expected: '4' }],
      }),
      options,
    ).join('\n');
    expect(text).toContain('pod web-1: CrashLoopBackOff: exit 1');
    expect(text).toContain('alert High: 9 %');
    expect(text).toContain('kubectl changed spec.replicas from 4 to 9');
  });

  test('control characters in what people wrote never reach the terminal', () => {
    const status = releaseStatus({ releaseReason: 'a\u001b[2Jb\r\nc', starter: 'x\u0007y' });
    // oxlint-disable-next-line no-control-regex
    expect(renderStatus(status, options).join('')).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
  });
});

describe('a release in a CI log', () => {
  test('each thing is told once, and only when it changed', () => {
    const lines = new ProgressLines();
    const first = lines.next({ kind: 'status', status: releaseStatus() }, NOW);
    expect(first).toEqual([
      '2026-11-23T02:56:00Z  weight 25 % (1 new, 4 old)',
      '2026-11-23T02:57:00Z  gate half (1 approval)',
      '2026-11-23T03:00:00Z  canary 1/1 ready, stable 4/4 ready',
      '2026-11-23T03:00:00Z  waiting 57m for 1 of 1 approvals of gate half: slipway release approve shop/web --gate half --revision bbb --why "..."',
    ]);
    expect(lines.next({ kind: 'status', status: releaseStatus() }, NOW)).toEqual([]);
    const more = releaseStatus({
      timeline: [...releaseStatus().timeline, { at: at(1), text: 'ada approved' }],
    });
    expect(lines.next({ kind: 'status', status: more }, NOW)).toEqual(['2026-11-23T02:59:59Z  ada approved']);
  });

  test('a place in line is told when it changes', () => {
    const lines = new ProgressLines();
    expect(lines.next({ kind: 'queued', ahead: 1 }, NOW)[0]).toContain('1 before this one');
    expect(lines.next({ kind: 'queued', ahead: 1 }, NOW)).toEqual([]);
    expect(lines.next({ kind: 'queued', ahead: 0 }, NOW)[0]).toContain('next');
  });
});

/** As much of a terminal as the live area uses: cursor up, erase below, lines that wrap. */
class Screen {
  rows: string[] = [''];
  #row = 0;
  #resized: (() => void) | undefined;
  readonly terminal = {
    live: true,
    columns: 20,
    rows: 10,
    onResize: (listener: () => void) => {
      this.#resized = listener;
      return () => (this.#resized = undefined);
    },
  };

  write = (text: string): void => {
    // oxlint-disable-next-line no-control-regex
    for (const part of text.split(/(\u001b\[\??\d*[A-Za-z]|\n|\r)/)) {
      // oxlint-disable-next-line no-control-regex
      const up = /^\u001b\[(\d+)A$/.exec(part);
      if (up) this.#row = Math.max(0, this.#row - Number(up[1]));
      else if (part === '\u001b[J') this.rows = [...this.rows.slice(0, this.#row), ''];
      else if (part === '\n') this.rows[++this.#row] ??= '';
      else if (!part.startsWith('\u001b') && part !== '\r') this.#print(part);
    }
  };

  /** Reflows like VTE, kitty or Windows Terminal do; good enough while every line starts a row. */
  resize(columns: number): void {
    this.rows = this.rows.flatMap((row) => row.match(new RegExp(`.{1,${columns}}`, 'g')) ?? ['']);
    this.#row = this.rows.length - 1;
    this.terminal.columns = columns;
    this.#resized?.();
  }

  #print(text: string): void {
    for (const [i, piece] of (text.match(new RegExp(`.{1,${this.terminal.columns}}`, 'g')) ?? []).entries()) {
      if (i > 0) this.#row++;
      this.rows[this.#row] = piece;
    }
  }
}

describe('the live table', () => {
  test('replaces itself in place, also where lines wrap', () => {
    const screen = new Screen();
    const area = new LiveArea(screen);
    area.draw(['one', 'a line of more than twenty characters', 'three']);
    area.draw(['four', 'five']);
    expect(screen.rows).toEqual(['four', 'five', '']);
  });

  test('leaves nothing behind when the window gets narrower', () => {
    const screen = new Screen();
    const area = new LiveArea(screen);
    area.draw(['eighteen character', 'second']);
    screen.resize(10);
    area.draw(['done']);
    expect(screen.rows).toEqual(['done', '']);
  });

  test('never cuts what is to be pasted, and keeps the end when the window is too low', () => {
    const screen = new Screen();
    const area = new LiveArea(screen);
    area.draw(['head', ...Array.from({ length: 30 }, (_, i) => `row ${i}`), 'paste this command here']);
    expect(screen.rows.slice(0, 2)).toEqual(['head', '...']);
    expect(screen.rows.join('')).toContain('paste this command here');
    expect(screen.rows.length).toBeLessThanOrEqual(screen.terminal.rows);
  });

  test('writes nothing when nothing changed, and gives the cursor back once', () => {
    const written: string[] = [];
    const area = new LiveArea({ terminal: new Screen().terminal, write: (text) => void written.push(text) });
    area.draw(['same']);
    const before = written.length;
    area.draw(['same']);
    area.close();
    area.close();
    expect(written.slice(before)).toEqual(['\u001b[?25h']);
  });
});

describe('words', () => {
  test.each([
    ['registry:5000/shop/app:v1', 'v1'],
    ['registry:5000/shop/app', 'registry:5000/shop/app'],
    [`app@sha256:${'0123456789ab'.padEnd(64, '0')}`, '0123456789ab'],
    ['web=a:1,job=b:2', 'web=1,job=2'],
  ])('the short image of %s is %s', (image, short) => expect(shortImage(image)).toBe(short));

  test('columns align, also with wide characters and colours', () => {
    expect(
      table([
        ['更便宜', 'x'],
        [picocolors.createColors(true).red('ab'), 'y'],
      ]).map((line) => width(line)),
    ).toEqual([9, 9]);
  });

  test('spans have two units at most', () => expect(span(93_784_000)).toBe('1d2h'));

  test('texts of several lines become one', () => expect(plain(' a\n\tb ')).toBe('a b'));
});
