/** A lab of a test's own, with simulated nodes: its API server may be killed, and no other test waits for it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { down, kill, start, up } from '../../../lab/index.ts';

export class OwnLab {
  readonly kubeconfig: string;
  readonly #folder: string;

  private constructor(kubeconfig: string, folder: string) {
    this.kubeconfig = kubeconfig;
    this.#folder = folder;
  }

  /** From here on this process's lab is this one. */
  static async open(): Promise<OwnLab> {
    const folder = await mkdtemp(join(tmpdir(), 'slipway-own-lab-'));
    process.env['SLIPWAY_LAB_DIR'] = folder;
    try {
      const { KUBECONFIG = '' } = await up({ nodes: 'simulated', progress: 'none' });
      return new OwnLab(KUBECONFIG, folder);
    } catch (error) {
      await down({ wipe: true });
      throw error;
    }
  }

  /** As abruptly as a machine dies. */
  kill(component: string): Promise<void> {
    return kill(component);
  }

  start(component: string): Promise<void> {
    return start(component);
  }

  async close(): Promise<void> {
    await down({ wipe: true });
    await rm(this.#folder, { recursive: true, force: true });
  }
}
