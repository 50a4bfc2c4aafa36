// Takes the chains of the lab and of its kube-proxy out of iptables again.
import { dirname, join } from 'node:path';
import { chainName } from './network.ts';
import type { Lab } from './lab.ts';
import { run } from './provision/run.ts';

const FAMILIES = ['iptables', 'ip6tables'] as const;

/**
 * The input for `iptables-restore --noflush` that removes every chain whose name matches `owned`, with all rules that
 * jump to it; empty when there is none. Other chains and rules stay as they are.
 * @param saved output of `iptables-save`
 */
export function removalScript(saved: string, owned: RegExp): string {
  const script: string[] = [];
  for (const [, table, body = ''] of saved.matchAll(/^\*(\w+)\n([\s\S]*?)^COMMIT/gm)) {
    const lines = body.split('\n');
    const chains = lines
      .flatMap((line) => /^:(\S+)/.exec(line)?.[1] ?? [])
      .filter((chain) => owned.test(chain));
    if (chains.length === 0) continue;
    const jumps = lines.filter((line) => {
      const [, chain = '', , target = ''] = /^-A (\S+)( .*)? -[jg] (\S+)/.exec(line) ?? [];
      return !owned.test(chain) && owned.test(target);
    });
    script.push(
      `*${table}`,
      ...jumps.map((line) => line.replace(/^-A/, '-D')),
      ...chains.map((chain) => `-F ${chain}`),
      ...chains.map((chain) => `-X ${chain}`),
      'COMMIT',
    );
  }
  return script.length > 0 ? `${script.join('\n')}\n` : '';
}

async function save(lab: Lab, family: (typeof FAMILIES)[number]): Promise<string> {
  try {
    return await run(join(dirname(lab.program('iptables')), `${family}-save`), []);
  } catch (error) {
    if (family === 'iptables') throw error;
    return ''; // no IPv6 on this machine
  }
}

/** Chains of another Kubernetes or CNI on this machine. */
export async function foreignChains(lab: Lab): Promise<{ kubernetes: boolean; cni: boolean }> {
  const saved = await save(lab, 'iptables');
  return { kubernetes: /^:KUBE-SERVICES /m.test(saved), cni: /^:CNI-HOSTPORT/m.test(saved) };
}

export async function removeRules(lab: Lab): Promise<void> {
  const kinds = [
    'KUBE-',
    `${chainName(lab)}(-IN)?$`,
    ...(lab.state.foreignCni ? [] : ['CNI-(HOSTPORT|DN)-']),
  ];
  const owned = new RegExp(`^(${kinds.join('|')})`);
  for (const family of FAMILIES) {
    const script = removalScript(await save(lab, family), owned);
    if (!script) continue;
    await run(join(dirname(lab.program('iptables')), `${family}-restore`), ['-w', '10', '--noflush'], {
      input: script,
    });
  }
}
