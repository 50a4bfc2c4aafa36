/**
 * That a policy was deleted on purpose, by whom and when. A Schedule leaves nothing behind, and one that is gone by mistake
 * must go on to alarm: alarms are silent only where this was started. There is nothing to do in it.
 */
export async function policyDeleted(input: { policy: string; by: string }): Promise<string> {
  return `backup policy ${input.policy} was deleted by ${input.by}`;
}
