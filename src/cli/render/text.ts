/** Words and columns that every human output shares. */
import { stripVTControlCharacters } from 'node:util';
import { eastAsianWidth } from 'get-east-asian-width';
import { formatDuration } from '../../specs/duration.ts';

const ZERO_WIDTH = /[\p{Mark}\p{Cf}]/u;

/** Columns that a text takes on a terminal. Not `string-width`: its emoji pattern alone costs a tenth of our start. */
export function width(text: string): number {
  let columns = 0;
  for (const character of stripVTControlCharacters(text)) {
    if (!ZERO_WIDTH.test(character)) columns += eastAsianWidth(character.codePointAt(0) ?? 0);
  }
  return columns;
}

/** Rows with their columns aligned; the last column is not padded. Widths count wide characters and ignore colours. */
export function table(rows: readonly (readonly string[])[], gap = 2): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, width(cell));
  }
  return rows.map((row) =>
    row
      .map((cell, i) =>
        i === row.length - 1 ? cell : cell + ' '.repeat((widths[i] ?? 0) - width(cell) + gap),
      )
      .join('')
      .trimEnd(),
  );
}

/** `v1.1.0` of `registry/shop/app:v1.1.0`; the first digits of a digest; the image itself when it has neither. */
export function shortImage(image: string): string {
  return image
    .split(',')
    .map((each) => {
      const [container, reference] = each.includes('=') ? each.split('=') : ['', each];
      const digest = /@[a-z0-9]+:([0-9a-f]{12})/i.exec(reference ?? '')?.[1];
      const tag = /:([^:/]+)$/.exec((reference ?? '').replace(/@.*$/, ''))?.[1];
      return `${container ? `${container}=` : ''}${tag ?? digest ?? reference}`;
    })
    .join(',');
}

/** `09:15:30 UTC`, with the day when it is not today's. */
export function clock(iso: string, now: number): string {
  const today = new Date(now).toISOString().slice(0, 10) === iso.slice(0, 10);
  return `${today ? '' : `${iso.slice(0, 10)} `}${iso.slice(11, 19)} UTC`;
}

/** How long ago or how far ahead, in at most two units: `47m`, `1h5m`, `2d3h`. */
export function span(ms: number): string {
  const parts = formatDuration(Math.abs(ms)).match(/\d+[dhms]/g) ?? ['0s'];
  return parts.slice(0, 2).join('');
}

/** `2026-11-23T09:15:30Z`. */
export function stamp(time: number | string): string {
  return new Date(time).toISOString().replace(/\.\d{3}Z$/, 'Z');
}

/** One line, whatever people put into a reason; control characters must not reach a terminal. */
export function plain(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').trim();
}

/** At most so many characters; dots stand for the rest. */
export function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 3)}...`;
}

export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}
