// What every server of the lab has in common.
import type { Lab } from '../lab.ts';

export interface Launch {
  /** Name of the part whose program runs. */
  part: string;
  args: string[];
  env?: Record<string, string>;
}

export interface Component {
  name: string;
  /** Programs it needs, by part name. */
  parts: readonly string[];
  /** Names of the ports it listens on. */
  ports: readonly string[];
  /** Components and steps that must be ready before this one starts. */
  after: readonly string[];
  /** Writes its configuration and says how to run it. Called before every start. */
  launch(lab: Lab): Launch | Promise<Launch>;
  /** True when it answers. */
  ready(lab: Lab): Promise<boolean>;
  /** One-time setup once it answers; must be repeatable. */
  settle?(lab: Lab): Promise<void>;
  readyTimeoutMs: number;
}

/** `--name=value` for every entry; an array repeats the flag. */
export function flags(
  values: Record<string, string | number | boolean | readonly string[]>,
  dash = '--',
): string[] {
  return Object.entries(values).flatMap(([name, value]) =>
    (Array.isArray(value) ? (value as readonly string[]) : [value]).map(
      (each) => `${dash}${name}=${String(each)}`,
    ),
  );
}
