/** The closed list of ApplicationFailure types that a release ends or an activity fails with. */
export const FAILURE = {
  /** The workflow was started with something else than a release; see release/input.ts. */
  notARelease: 'NotARelease',
  /** Preflight found errors; nothing was touched. Details: the release's status. */
  preflightRefused: 'PreflightRefused',
  /** The release could not be brought to a safe end; a person is needed. Details: the release's status. */
  needsPerson: 'NeedsPerson',
  workloadGone: 'WorkloadGone',
  /** What the release was planned for is not there any more; plan anew. Nothing was touched. */
  workloadChanged: 'WorkloadChanged',
  forbidden: 'Forbidden',
  recordOfAnother: 'RecordOfAnother',
  workloadRejected: 'WorkloadRejected',
} as const;
