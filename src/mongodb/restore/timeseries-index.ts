// The oplog tells an index of a time-series as one of its buckets; to be made anew it has to be told as people did.
import type { OrderedDocument } from '../bson/extended-json.ts';
import { OplogReplayError } from './apply.ts';

/**
 * The index as it was asked for.
 * @throws OplogReplayError when it cannot be known
 */
export function timeseriesIndex(
  options: OrderedDocument,
  bucketIndex: OrderedDocument,
  collection: string,
): OrderedDocument {
  const original = bucketIndex.get('originalSpec');
  if (original instanceof Map) return original as OrderedDocument;
  const timeseries = options.get('timeseries') as OrderedDocument;
  const keys = [...(bucketIndex.get('key') as OrderedDocument)];
  const asked: OrderedDocument = new Map();
  for (let at = 0; at < keys.length; at++) {
    const [name = '', direction] = keys[at] ?? [];
    const meta = /^meta(?=\.|$)/.exec(name);
    const bound = /^control\.(min|max)\.(.+)$/.exec(name);
    if (meta) asked.set(`${String(timeseries.get('metaField'))}${name.slice(4)}`, direction);
    else if (bound && keys[at + 1]?.[0] === `control.${bound[1] === 'min' ? 'max' : 'min'}.${bound[2]}`) {
      asked.set(bound[2] ?? '', direction);
      at++;
    } else {
      throw new OplogReplayError(
        `index ${String(bucketIndex.get('name'))} of time-series ${collection} cannot be replayed: its key ${name} is not known`,
      );
    }
  }
  return new Map([...bucketIndex].map(([key, value]) => [key, key === 'key' ? asked : value]));
}
