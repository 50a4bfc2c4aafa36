// Several runs of the same thing, as one row: the median of each figure, and the spread of the ratio to a peer.
import type { Measurement } from './processes.ts';

export interface Row {
  name: string;
  runs: Measurement[];
}

/** Adds runs to their rows, by name. */
export function collect(rows: Row[], ...runs: Measurement[]): void {
  for (const run of runs) {
    const row = rows.find(({ name }) => name === run.name);
    if (row) row.runs.push(run);
    else rows.push({ name: run.name, runs: [run] });
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}

/** Wall time of the peer over ours, run by run: only runs of the same round have met the same load. */
function speed({ runs }: Row, peer: Row | undefined): string {
  if (!peer) return '-';
  const ratios = runs.map((run, at) => (peer.runs[at]?.wallSeconds ?? Number.NaN) / run.wallSeconds);
  return `${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)})`;
}

function cpu({ runs }: Row, peer: Row | undefined): string {
  if (!peer) return '-';
  return median(runs.map((run, at) => run.cpuSeconds / (peer.runs[at]?.cpuSeconds ?? Number.NaN))).toFixed(2);
}

/** Markdown; `peer` is the row that the others are compared with. */
export function table(rows: readonly Row[], megabytes: number, peer: string): string {
  const base = rows.find(({ name }) => name === peer);
  const lines = rows.map((row) => {
    const of = (pick: (run: Measurement) => number) => median(row.runs.map(pick));
    const wall = of(({ wallSeconds }) => wallSeconds);
    const cells = [
      row.name,
      wall.toFixed(1),
      (megabytes / wall).toFixed(0),
      speed(row, base),
      of(({ cpuSeconds }) => cpuSeconds).toFixed(1),
      cpu(row, base),
      of(({ serverCpuSeconds }) => serverCpuSeconds).toFixed(1),
      Math.max(...row.runs.map(({ peakMegabytes }) => peakMegabytes)).toFixed(0),
      row.runs[0]?.outputMegabytes?.toFixed(0) ?? '-',
    ];
    return `| ${cells.join(' | ')} |`;
  });
  return [
    "| median | wall s | MB/s | times the peer's speed (least) | CPU s | of the peer's CPU | mongod CPU s | peak MB | archive MB |",
    '|---|---|---|---|---|---|---|---|---|',
    ...lines,
    '',
  ].join('\n');
}
