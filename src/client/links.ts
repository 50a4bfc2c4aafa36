/** Addresses in the Temporal UI. */
import type { Phase } from '../domain/release/types.ts';
import { WORKFLOW } from '../domain/names.ts';
import { quoted } from './attributes.ts';

const AWAITING: Phase = 'awaiting-approval';

interface UiLinks {
  /** Where one run tells how it is and what it wants, or the page of the latest run of the id. */
  workflowUrl(id: string, run?: string | null): string;
  /** Opens the list of releases that wait for an approval, and saves it as a view in that browser. */
  savedViewUrl(): string;
}

/** `base` is the UI's address without a path, e.g. `http://localhost:8233`. */
export function uiLinks(base: string, namespace: string): UiLinks {
  const root = `${base.replace(/\/+$/, '')}/namespaces/${encodeURIComponent(namespace)}/workflows`;
  return {
    workflowUrl: (id, run) =>
      `${root}/${encodeURIComponent(id)}${run ? `/${encodeURIComponent(run)}/user-metadata` : ''}`,
    savedViewUrl() {
      const query = `WorkflowType = ${quoted(WORKFLOW.release)} AND ExecutionStatus = 'Running' AND SlipwayPhase = ${quoted(AWAITING)}`;
      return `${root}?${new URLSearchParams({ query, savedQuery: 'Releases awaiting approval' }).toString()}`;
    },
  };
}
