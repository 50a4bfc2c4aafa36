import { join } from 'node:path';
import { healthy, listening } from '../wait.ts';
import { type Component, flags } from './component.ts';

export const TEMPORAL_NAMESPACE = 'default';

export const temporal: Component = {
  name: 'temporal',
  parts: ['temporal'],
  ports: ['temporal', 'temporal-ui', 'temporal-http', 'temporal-metrics'],
  after: [],
  readyTimeoutMs: 45_000,
  launch(lab) {
    return {
      part: 'temporal',
      args: [
        'server',
        'start-dev',
        ...flags({
          ip: '127.0.0.1',
          port: lab.port('temporal'),
          'ui-ip': '127.0.0.1',
          'ui-port': lab.port('temporal-ui'),
          'http-port': lab.port('temporal-http'),
          'metrics-port': lab.port('temporal-metrics'),
          'db-filename': join(lab.folder('data'), 'temporal.db'),
          namespace: TEMPORAL_NAMESPACE,
          'log-level': 'warn',
          'log-format': 'json',
          'ui-disable-news-fetch': true,
        }),
      ],
      env: { TEMPORAL_VERSION_CHECK_DISABLED: '1' }, // the server would ask its makers for news
    };
  },
  async ready(lab) {
    const base = `http://127.0.0.1:${lab.port('temporal-http')}`;
    if (!(await healthy(`${base}/api/v1/namespaces/${TEMPORAL_NAMESPACE}`))) return false;
    return listening(lab.port('temporal-ui'));
  },
};
