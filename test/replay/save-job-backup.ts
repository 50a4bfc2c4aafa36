/**
 * As save-backups.ts, for a backup by a Job of the cluster: `node test/replay/save-job-backup.ts`, as root on Linux with
 * the lab's real node (SLIPWAY_LAB_DIR names a lab that runs already).
 */
import { JobLab } from '../e2e/backup-job.support.ts';
import { save } from './save.ts';

const lab = await JobLab.open();
try {
  const policy = lab.policy('mongodb-backup');
  const ref = await lab.start(policy);
  const { execution, status } = await lab.end(ref);
  if (execution !== 'COMPLETED') throw new Error(`${ref.id} ${execution}: ${status?.reason}`);
  await save(lab.temporal.address, 'backup-by-job', ref.id, ref.run ?? undefined, {
    [lab.namespace]: 'ecommerce',
    [lab.database]: 'shop',
    [lab.user]: 'admin',
    [lab.image.reference]: 'mongo:6.0',
  });
  process.stdout.write(`backup-by-job: ${ref.id}\n`);
} finally {
  await lab.close();
}
