/** What the metrics tell of policies between their runs: read from where the backups lie. */
import { openStorage, type SettingsSource } from '../../backups/settings.ts';
import { type Survey, survey, type SurveyMemory } from '../../backups/survey.ts';
import type { BackupPolicy } from '../../specs/backup.types.ts';

export type { Survey } from '../../backups/survey.ts';

/** Answers what lies at a policy's destination. Remembers what it has read there, and nothing of policies that changed. */
export function surveyor(from: SettingsSource): (policy: BackupPolicy) => Promise<Survey> {
  const memories = new Map<string, SurveyMemory>();
  return async (policy) => {
    const place = JSON.stringify(policy.spec.destination);
    const memory: SurveyMemory = memories.get(place) ?? new Map();
    memories.set(place, memory);
    const storage = await openStorage(policy.spec.destination, from);
    try {
      return await survey(storage, policy, memory);
    } finally {
      await storage.close();
    }
  };
}
