/** `slipway worker`. */
import type { Command } from 'commander';
import { connectOptions } from '../connect.ts';
import type { Context } from '../session.ts';
import { type ServeFlags, settingsOf } from '../serve.ts';

export function addWorkerCommand(program: Command, { session }: Context): void {
  connectOptions(program.command('worker').description('run the workflows and activities of releases'))
    .option(
      '--listen <host:port>',
      'where /metrics, /healthz and /readyz are, over SLIPWAY_METRICS_ADDRESS (default: 127.0.0.1:9464); off for none',
    )
    .addHelpText(
      'after',
      `
Runs until it is told to stop, then drains: SIGTERM once, activities get SLIPWAY_SHUTDOWN_GRACE (10s) to end.
The cluster is that of KUBECONFIG, or the one it runs in. Sets the Temporal namespace up by itself (see slipway setup).

Example:
  $ TEMPORAL_ADDRESS=temporal.example.com:7233 KUBECONFIG=~/.kube/config slipway worker`,
    )
    .action(async (flags: ServeFlags) => {
      const { runWorker } = await import('../../worker.ts');
      await runWorker(settingsOf(session, flags, 'SLIPWAY_METRICS_ADDRESS'));
    });
}
