/** The activities of a release: thin steps that read live state, act once, and may run twice. */
import type { Deployment, ReplicaSet } from '../../domain/workload/objects.types.ts';
import type { Decision } from '../../domain/workload/patch.ts';
import { finishPatch, rollBackPatch } from '../../domain/workload/patch-back.ts';
import { adjustPatch, amendPatch, beginPatch, promotePatch } from '../../domain/workload/patch-forward.ts';
import { sameTemplate, templateDigest } from '../../domain/workload/template.ts';
import type { Target } from '../../domain/workload/types.ts';
import { KubeError } from '../../kubernetes/errors.ts';
import type { Kube } from '../../kubernetes/kube.ts';
import { REPLICA_SETS } from '../../kubernetes/paths.ts';
import { decideAndPatch, type Written } from '../../kubernetes/workload.ts';
import { underway } from './context.ts';
import { runPreflight } from './preflight.ts';
import type { AdjustResult, BeginInput, ReleaseActivities } from './types.ts';
import { observeWorkload, watchWorkload } from './watch.ts';

interface ReleaseDependencies {
  kube: Kube;
}

/** Heartbeats of an activity that waits for hours. */
const WATCH_HEARTBEAT_MS = 3_000;

interface Order {
  target: Target;
  uid: string;
}

/** Builds the release activities on one cluster. */
export function createReleaseActivities({ kube }: ReleaseDependencies): ReleaseActivities {
  /** Decides on live state and writes; what was written is shown at once to those who wait in this process. */
  const write = (
    order: Order,
    decide: (deployment: Deployment) => Decision,
    glimpsed = false,
  ): Promise<Written> =>
    underway(async (signal) => {
      const { target, uid } = order;
      const cache = kube.caches.peek(target.namespace);
      const glimpse = glimpsed ? cache?.workload(uid)?.deployment : undefined;
      const written = await decideAndPatch(kube.client, target, uid, decide, { signal, glimpse });
      if (written.result === 'patched') cache?.offer(written.deployment);
      return written;
    });

  return {
    preflight: (input) => underway((signal) => runPreflight(kube, input, signal)),
    begin: (input) => underway((signal) => begin(kube, input, signal)),
    adjust: async (input) => {
      return outcomeOf(await write(input, (deployment) => adjustPatch(deployment, input)));
    },
    promote: async (input) => {
      await write(input, (deployment) => promotePatch(deployment, input));
    },
    rollBack: async (input) => {
      await write(input, (deployment) => rollBackPatch(deployment, input), true);
    },
    finish: async (input) => {
      await write(input, (deployment) => finishPatch(deployment, input));
    },
    watch: (input) => underway((signal) => watchWorkload(kube, input, signal), WATCH_HEARTBEAT_MS),
    observe: (input) => underway((signal) => observeWorkload(kube, input, signal)),
  };
}

async function begin(kube: Kube, input: BeginInput, signal: AbortSignal): Promise<AdjustResult> {
  const { target, uid, undo } = input;
  const stable = await readStable(kube, target, undo.stableHash, signal);
  const now = new Date(kube.client.now()).toISOString();
  const decide = (deployment: Deployment): Decision => {
    const decision = beginPatch(deployment, input, now);
    if (decision.do !== 'patch' || (stable && sameTemplate(stable.spec.template, deployment.spec.template))) {
      return decision;
    }
    const message = `the pod template was changed after the release was planned (stable was ${undo.stableHash})`;
    return { do: 'refuse', why: 'WorkloadChanged', message };
  };
  const written = await decideAndPatch(kube.client, target, uid, decide, { signal });
  if (written.result !== 'patched') return outcomeOf(written);
  const deployment = await acceptMutations(kube, input, written.deployment, signal);
  kube.caches.peek(target.namespace)?.offer(deployment);
  return outcomeOf(written);
}

function outcomeOf({ result }: Written): AdjustResult {
  return { result: result === 'patched' ? 'applied' : result === 'nothing' ? 'unchanged' : 'stale' };
}

/** The ReplicaSet being left; its name is made of the Deployment's and the hash. */
async function readStable(
  kube: Kube,
  target: Target,
  hash: string,
  signal: AbortSignal,
): Promise<ReplicaSet | null> {
  try {
    return await kube.client.get<ReplicaSet>(REPLICA_SETS, target.namespace, `${target.name}-${hash}`, {
      signal,
    });
  } catch (error) {
    if (error instanceof KubeError && error.reason === 'NotFound') return null;
    throw error;
  }
}

/** Admission webhooks may have changed what begin wrote (images pinned to digests): that is not drift. */
async function acceptMutations(
  kube: Kube,
  order: Order,
  written: Deployment,
  signal: AbortSignal,
): Promise<Deployment> {
  if (amendPatch(written).do === 'nothing') return written;
  const template = templateDigest(written.spec.template);
  const decide = (deployment: Deployment): Decision =>
    templateDigest(deployment.spec.template) === template ? amendPatch(deployment) : { do: 'nothing' };
  const options = { signal, glimpse: written };
  return (await decideAndPatch(kube.client, order.target, order.uid, decide, options)).deployment;
}
