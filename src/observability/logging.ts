/** JSON log lines on stdout, one object a line, without secrets. */
import pino, { type DestinationStream, type Logger } from 'pino';
import { BadSetting } from '../client/errors.ts';

export type { Logger } from 'pino';

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;

/** Fields that are never written, whoever logs them. */
const SECRET_FIELDS = ['token', 'authorization', 'apiKey', 'password', 'secret'];

interface LogOptions {
  /** What the line is from: `worker`, `gateway`. */
  component: string;
  env?: Record<string, string | undefined>;
  /** Where lines go; stdout by default. */
  destination?: DestinationStream;
}

/** Reads SLIPWAY_LOG_LEVEL (`info` by default). Throws {@link BadSetting} for a level that does not exist. */
export function createLogger(options: LogOptions): Logger {
  const wanted = (options.env ?? process.env)['SLIPWAY_LOG_LEVEL'] || 'info';
  const level = LEVELS.find((each) => each === wanted.toLowerCase());
  if (!level) {
    throw new BadSetting(`SLIPWAY_LOG_LEVEL: found "${wanted}", allowed are ${LEVELS.join(', ')}`);
  }
  return pino(
    {
      level,
      base: { component: options.component },
      messageKey: 'message',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]), censor: '[secret]' },
      serializers: { error: pino.stdSerializers.err },
    },
    options.destination ?? pino.destination({ dest: 1, sync: true }),
  );
}
