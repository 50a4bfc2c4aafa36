/** What the release queue needs done outside: waiting for a release that it did not start. */
export interface QueueActivities {
  /** Waits, heartbeating, until no run of this workflow id is open. Returns at once when there is none. */
  awaitRelease(input: { id: string }): Promise<void>;
}
