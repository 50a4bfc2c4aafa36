/** Who gives a command, when `--by` does not say. */
import { hostname, userInfo } from 'node:os';

/** Variables in which CI systems name the person or job that started a pipeline, best first. */
const VARIABLES = [
  'SLIPWAY_USER',
  'GITHUB_ACTOR',
  'GITLAB_USER_LOGIN',
  'BITBUCKET_STEP_TRIGGERER_UUID',
  'CIRCLE_USERNAME',
  'BUILDKITE_BUILD_CREATOR',
  'BUILD_REQUESTEDFOR',
  'DRONE_COMMIT_AUTHOR',
  'CI_COMMIT_AUTHOR',
] as const;

const MAX_LENGTH = 120;

export function whoami(env: Readonly<Record<string, string | undefined>>): string {
  for (const name of VARIABLES) {
    const value = env[name]?.trim();
    if (value) return value.slice(0, MAX_LENGTH);
  }
  return `${user(env)}@${hostname()}`.slice(0, MAX_LENGTH);
}

function user(env: Readonly<Record<string, string | undefined>>): string {
  try {
    return userInfo().username;
  } catch {
    // A container may run as a uid without a name.
    return env['USER'] ?? 'unknown';
  }
}
