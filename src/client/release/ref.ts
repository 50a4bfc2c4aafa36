/** How to find a release again; `run` is unknown while it waits in line. */
export interface ReleaseRef {
  id: string;
  run: string | null;
  key: string | null;
}
