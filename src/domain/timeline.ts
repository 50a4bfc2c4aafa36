/** The story of a run, as its status and its page tell it. */

export interface TimelineEntry {
  /** ISO 8601. */
  at: string;
  text: string;
}
