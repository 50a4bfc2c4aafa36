/** `NAMESPACE/NAME`, or `-n NAMESPACE NAME`. */
import { type Command, Option } from 'commander';
import { badInput } from './failure.ts';

export interface TargetName {
  namespace: string;
  name: string;
}

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const SUBDOMAIN = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;

function namespaceOption(): Option {
  return new Option('-n, --namespace <namespace>', 'Kubernetes namespace, when the argument is only a name');
}

/** Adds the argument and the flag that {@link parseTarget} reads. */
export function withTarget(command: Command): Command {
  return command.argument('<namespace/name>', 'the workload').addOption(namespaceOption());
}

export function parseTarget(text: string, namespace: string | undefined): TargetName {
  const parts = text.split('/');
  const [first = '', second] = parts;
  if (parts.length > 2)
    throw badInput(`"${text}": found ${parts.length - 1} slashes; allowed: NAMESPACE/NAME`);
  if (second === undefined) {
    if (namespace === undefined) {
      throw badInput(`"${text}": the namespace is missing; write NAMESPACE/${text}, or add -n NAMESPACE`);
    }
    return checked({ namespace, name: first });
  }
  if (namespace !== undefined && namespace !== first) {
    throw badInput(`--namespace: found ${namespace}, but the argument says ${text}; give one of them`);
  }
  return checked({ namespace: first, name: second });
}

function checked(target: TargetName): TargetName {
  if (!LABEL.test(target.namespace)) {
    throw badInput(
      `"${target.namespace}" is not a namespace; allowed: lower-case letters, digits and dashes`,
    );
  }
  if (!SUBDOMAIN.test(target.name)) {
    throw badInput(
      `"${target.name}" is not a name of a workload; allowed: lower-case letters, digits, dashes and dots`,
    );
  }
  return target;
}
