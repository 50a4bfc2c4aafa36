/** `restore deployment`: shows what would change, asks, and does it. */
import { type Restored, restoreDeployment } from '../../kubernetes/restore.ts';
import { badInput, Failure } from '../failure.ts';
import { EXIT } from '../exit.ts';
import { type Format, printData } from '../output.ts';
import { clock, table } from '../render/text.ts';
import type { Session } from '../session.ts';
import { parseTarget } from '../target.ts';

export interface RestoreDeploymentFlags {
  namespace?: string;
  dryRun?: boolean;
  yes?: boolean;
  context?: string;
  output?: Format;
}

export async function restoreDeploymentCommand(
  session: Session,
  text: string,
  flags: RestoreDeploymentFlags,
): Promise<void> {
  const target = parseTarget(text, flags.namespace);
  const kube = await session.openKube(flags.context === undefined ? {} : { context: flags.context });
  try {
    const preview = await restoreDeployment(kube.client, target, { dryRun: true });
    const people = flags.output === undefined;
    if (people) for (const line of renderRestored(preview, session)) session.out(line);
    if (flags.dryRun) {
      await printData(session, flags.output, preview);
      return;
    }
    await allow(session, flags);
    const done = await restoreDeployment(kube.client, target);
    if (await printData(session, flags.output, done)) return;
    session.out(
      `Restored. Watch it settle: kubectl -n ${target.namespace} rollout status deployment/${target.name}`,
    );
  } finally {
    kube.close();
  }
}

async function allow(session: Session, flags: RestoreDeploymentFlags): Promise<void> {
  if (flags.yes) return;
  const answer = await session.confirm('Write this?');
  if (answer === undefined)
    throw badInput('--yes: needed where nobody can be asked (standard input is no terminal)');
  if (!answer) throw new Failure('declined', EXIT.failed, 'nothing was changed');
}

function renderRestored({ target, release, images, settings }: Restored, { colors, now }: Session): string[] {
  const lines = [
    `Deployment ${colors.bold(`${target.namespace}/${target.name}`)} carries the release ${release.id}, ${release.phase} since ${clock(release.since, now())}.`,
    'This puts back:',
    ...table(images.map(({ container, from, to }) => [`  image of ${container}`, `${from} -> ${to}`])),
    ...settings.map((each) => `  ${each}`),
  ];
  if (images.length + settings.length === 0)
    lines.push('  nothing but the record: image and settings are those of before');
  return lines;
}
