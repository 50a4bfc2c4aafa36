/** Flags of every command that speaks to Temporal. */
import type { Command } from 'commander';
import type { SlipwayClient } from '../client.ts';
import type { ConnectFlags, Session } from './session.ts';

export function connectOptions(command: Command): Command {
  return command
    .option('--address <host:port>', "Temporal's address, over TEMPORAL_ADDRESS and the profile")
    .option('--profile <name>', "profile of Temporal's configuration file, over TEMPORAL_PROFILE")
    .option('--temporal-namespace <name>', "Temporal's namespace, over TEMPORAL_NAMESPACE");
}

/** Runs `use` with a connected client, and closes it whatever happens. */
export async function withClient<T>(
  session: Session,
  flags: ConnectFlags,
  use: (client: SlipwayClient) => Promise<T>,
): Promise<T> {
  const client = await session.connect(flags);
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}
