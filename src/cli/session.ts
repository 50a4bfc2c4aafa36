/** What a command works with: its streams, its terminal, the time, and a client that is only made when asked for. */
import type { Colors } from 'picocolors/types.js';
import type { SlipwayClient } from '../client.ts';
import type { Kube } from '../kubernetes/kube.ts';

export interface Terminal {
  /** Whether standard output is one that can be redrawn. */
  live: boolean;
  readonly columns: number;
  readonly rows: number;
  /** Calls `listener` when the size changes; returns the way to stop that. */
  onResize(listener: () => void): () => void;
}

export interface ConnectFlags {
  address?: string;
  profile?: string;
  temporalNamespace?: string;
  /** Time to establish the connection, in milliseconds; the client's own bound when not given. No flag of the command line. */
  connectWithin?: number;
}

export interface Session {
  /** Writes to standard output, as it is. */
  write: (text: string) => void;
  /** A line on standard output. */
  out: (line: string) => void;
  /** A line on standard error. */
  err: (line: string) => void;
  env: Readonly<Record<string, string | undefined>>;
  readStdin(): Promise<string>;
  terminal: Terminal;
  /** Colours of standard output; they do nothing where colours are not wanted. */
  colors: Colors;
  now: () => number;
  /** Asks a yes-or-no question; `undefined` when nobody is there to answer. */
  confirm(question: string): Promise<boolean | undefined>;
  /** Aborted when the person presses Ctrl-C, the job is told to end, or the reader of our output went away. */
  interrupted: () => { signal: AbortSignal; stop: () => void };
  /** Temporal, by profile, variables and flags. */
  connect(flags: ConnectFlags): Promise<SlipwayClient>;
  /** The cluster of KUBECONFIG, or the one we run in. */
  openKube(options: { context?: string }): Promise<Pick<Kube, 'client' | 'close'>>;
}

/** What an action is given: the session, and a way to end with another exit code than 0. */
export interface Context {
  session: Session;
  exit: (code: number) => void;
}
