/** One idempotent command that makes a Temporal namespace fit: search attributes that exist, history that is kept. */
import { setTimeout as delay } from 'node:timers/promises';
import { SEARCH_ATTRIBUTES } from '../domain/names.ts';
import { formatDuration, milliseconds } from '../specs/duration.ts';
import { type Api, SERVER_MS } from './api.ts';
import { codeOf, grpcDetails, plainError } from './connection.ts';
import { SlipwayError } from './errors.ts';

/** temporal.api.enums.v1.IndexedValueType */
const KEYWORD = 2;
const TYPE_NAMES = ['unspecified', 'Text', 'Keyword', 'Int', 'Double', 'Bool', 'Datetime', 'KeywordList'];
const GRPC_ALREADY_EXISTS = 6;
/** Multi-node servers refresh their list of search attributes once a minute. */
const USABLE_WITHIN_MS = 90_000;
const DEFAULT_RETENTION = '30d';

export interface SetupOptions {
  /** How long finished releases stay readable, at least; a longer one is left alone. `30d` by default. */
  retention?: string;
  /** Milliseconds to wait until new search attributes are usable; 90,000 by default. */
  usableWithinMs?: number;
}

export interface SetupResult {
  /** Search attributes registered now. */
  added: string[];
  /** Retention before and after, when it was raised. */
  retention: { from: string; to: string } | null;
}

/**
 * Registers what is missing and raises the retention. Throws {@link SlipwayError} `failed` when a name is taken by
 * another type, `forbidden` when the credentials may not do it.
 */
export async function setup(api: Api, options: SetupOptions = {}): Promise<SetupResult> {
  const added = await addSearchAttributes(api);
  await untilUsable(api, options.usableWithinMs ?? USABLE_WITHIN_MS);
  return {
    added,
    retention: await raiseRetention(api, milliseconds(options.retention ?? DEFAULT_RETENTION)),
  };
}

async function addSearchAttributes(api: Api): Promise<string[]> {
  const { operatorService } = api.client.connection;
  const { namespace } = api.settings;
  const missing = await missingAttributes(api);
  if (missing.length === 0) return [];
  try {
    await api.raw(SERVER_MS, () =>
      operatorService.addSearchAttributes({
        namespace,
        searchAttributes: Object.fromEntries(missing.map((name) => [name, KEYWORD])),
      }),
    );
    return missing;
  } catch (error) {
    // Another worker was faster; what is still missing after that is a real error.
    if (codeOf(error) === GRPC_ALREADY_EXISTS && (await missingAttributes(api)).length === 0) return [];
    const plain = plainError(error, api.settings);
    if (plain instanceof SlipwayError) throw plain;
    throw new SlipwayError(
      'failed',
      `search attributes ${missing.join(', ')} cannot be registered in namespace "${namespace}": ${grpcDetails(error)}`,
      { cause: error },
    );
  }
}

async function missingAttributes(api: Api): Promise<string[]> {
  const { namespace } = api.settings;
  const { customAttributes } = await api.call(SERVER_MS, () =>
    api.client.connection.operatorService.listSearchAttributes({ namespace }),
  );
  return SEARCH_ATTRIBUTES.filter((name) => {
    const type = customAttributes[name];
    if (type === undefined || type === null) return true;
    if (type === KEYWORD) return false;
    throw new SlipwayError(
      'failed',
      `search attribute ${name} exists in namespace "${namespace}" with type ${TYPE_NAMES[type] ?? type}, but must be Keyword; ` +
        'remove or rename it (temporal operator search-attribute remove), then run `slipway setup` again',
    );
  });
}

async function untilUsable(api: Api, withinMs: number): Promise<void> {
  const query = SEARCH_ATTRIBUTES.map((name) => `${name} = 'x'`).join(' AND ');
  const deadline = Date.now() + withinMs;
  for (;;) {
    try {
      await api.raw(SERVER_MS, () => api.client.workflow.count(query));
      return;
    } catch (error) {
      if (Date.now() > deadline) throw plainError(error, api.settings);
      await delay(500);
    }
  }
}

async function raiseRetention(api: Api, wantedMs: number): Promise<SetupResult['retention']> {
  const { workflowService } = api.client.connection;
  const { namespace } = api.settings;
  const described = await api.call(SERVER_MS, () => workflowService.describeNamespace({ namespace }));
  const current = Number(described.config?.workflowExecutionRetentionTtl?.seconds ?? 0) * 1_000;
  if (current >= wantedMs) return null;
  await api.call(SERVER_MS, () =>
    workflowService.updateNamespace({
      namespace,
      config: { workflowExecutionRetentionTtl: { seconds: toLong(wantedMs / 1_000) } },
    }),
  );
  return { from: formatDuration(current), to: formatDuration(wantedMs) };
}

/** protobuf.js takes plain numbers for int64, its types do not say so. */
function toLong(value: number): Long {
  return Math.ceil(value) as unknown as Long;
}

type Long = NonNullable<
  NonNullable<
    NonNullable<
      Parameters<Api['client']['connection']['workflowService']['updateNamespace']>[0]['config']
    >['workflowExecutionRetentionTtl']
  >['seconds']
>;
