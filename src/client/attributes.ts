/** Typed access to what Temporal's index knows of a release: search attributes and memo. */
import type { WorkflowExecutionInfo } from '@temporalio/client';
import { defineSearchAttributeKey, type SearchAttributePair } from '@temporalio/common';
import type { Announcement, ReleaseMemo } from '../domain/release/announcement.ts';
import { SEARCH_ATTRIBUTES } from '../domain/names.ts';

/** What list and describe have in common. */
export type Info = Omit<WorkflowExecutionInfo, 'raw'>;

type AttributeName = (typeof SEARCH_ATTRIBUTES)[number];

/** Value of a Keyword search attribute, `null` when unset. */
export function attribute(info: Pick<Info, 'typedSearchAttributes'>, name: AttributeName): string | null {
  return info.typedSearchAttributes.get(defineSearchAttributeKey(name, 'KEYWORD')) ?? null;
}

/** Search attributes as the SDK takes them; those without a value are left out. */
export function attributePairs(values: Announcement['searchAttributes']): SearchAttributePair[] {
  return SEARCH_ATTRIBUTES.flatMap((name) => {
    const value = values[name];
    return value === undefined ? [] : [{ key: defineSearchAttributeKey(name, 'KEYWORD'), value }];
  });
}

/** The memo of a release; a field that a foreign starter left out reads as unknown. */
export function memoOf(info: Pick<Info, 'memo' | 'typedSearchAttributes'>): ReleaseMemo {
  const memo = info.memo ?? {};
  const text = (field: string): string | null => {
    const value = memo[field];
    return typeof value === 'string' ? value : null;
  };
  return {
    key: text('key') ?? attribute(info, 'SlipwayKey'),
    starter: text('starter') ?? attribute(info, 'SlipwayStarter') ?? 'unknown',
    image: text('image') ?? attribute(info, 'SlipwayImage') ?? 'unknown',
    reason: text('reason') ?? '',
  };
}

/** A string literal of Temporal's list filters, safe for any text. */
export function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}
