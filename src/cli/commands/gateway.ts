/** `slipway gateway`. */
import type { Command } from 'commander';
import { connectOptions } from '../connect.ts';
import type { Context } from '../session.ts';
import { type ServeFlags, settingsOf } from '../serve.ts';

export function addGatewayCommand(program: Command, { session }: Context): void {
  connectOptions(
    program
      .command('gateway')
      .description('take alerts over HTTP and hand them to the releases they are about'),
  )
    .option('--listen <host:port>', 'where to listen, over SLIPWAY_GATEWAY_ADDRESS (default: 127.0.0.1:8090)')
    .addHelpText(
      'after',
      `
Serves POST /v1/alerts (Alertmanager's webhook), /healthz, /readyz and /metrics until it is told to stop.
The bearer token is read from SLIPWAY_GATEWAY_TOKEN or the file SLIPWAY_GATEWAY_TOKEN_FILE.

Example:
  $ SLIPWAY_GATEWAY_TOKEN_FILE=/run/secrets/token slipway gateway --listen 0.0.0.0:8090`,
    )
    .action(async (flags: ServeFlags) => {
      const { runGateway } = await import('../../gateway.ts');
      await runGateway(settingsOf(session, flags, 'SLIPWAY_GATEWAY_ADDRESS'));
    });
}
