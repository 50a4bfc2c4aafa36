/** Commands that serve read their settings from the environment; flags go over it. */
import type { ConnectFlags, Session } from './session.ts';

export interface ServeFlags extends ConnectFlags {
  /** host:port */
  listen?: string;
}

interface ServeSettings {
  env: Record<string, string | undefined>;
  profile?: string;
}

export function settingsOf(session: Session, flags: ServeFlags, listenVariable: string): ServeSettings {
  return {
    env: {
      ...session.env,
      ...(flags.address === undefined ? {} : { TEMPORAL_ADDRESS: flags.address }),
      ...(flags.temporalNamespace === undefined ? {} : { TEMPORAL_NAMESPACE: flags.temporalNamespace }),
      ...(flags.listen === undefined ? {} : { [listenVariable]: flags.listen }),
    },
    ...(flags.profile === undefined ? {} : { profile: flags.profile }),
  };
}
