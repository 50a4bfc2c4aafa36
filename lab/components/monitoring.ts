// Prometheus and Alertmanager, fast enough for a demo: a bad version is seen within seconds.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { serverUrl, type Lab } from '../lab.ts';
import { REPOSITORY } from '../paths.ts';
import { USERS } from '../pki.ts';
import { writeWhole } from '../state.ts';
import { healthy } from '../wait.ts';
import { type Component, flags } from './component.ts';
import { userConfig } from './control-plane.ts';

const LABELS = [
  ['namespace', '__meta_kubernetes_namespace'],
  ['pod', '__meta_kubernetes_pod_name'],
  ['container', '__meta_kubernetes_pod_container_name'],
  ['app', '__meta_kubernetes_pod_label_app'],
  ['version', '__meta_kubernetes_pod_label_version'],
  ['pod_template_hash', '__meta_kubernetes_pod_label_pod_template_hash'],
] as const;

/** Scrapes every running pod that has a container port named "http" or "metrics" or asks for it by annotation. */
function podJob(lab: Lab) {
  return {
    job_name: 'pods',
    kubernetes_sd_configs: [{ role: 'pod', kubeconfig_file: userConfig(lab, USERS.prometheus) }],
    relabel_configs: [
      { source_labels: ['__meta_kubernetes_pod_phase'], regex: 'Pending|Succeeded|Failed', action: 'drop' },
      {
        source_labels: [
          '__meta_kubernetes_pod_annotation_prometheus_io_scrape',
          '__meta_kubernetes_pod_container_port_name',
        ],
        regex: 'true;.*|;(http|metrics)',
        action: 'keep',
      },
      {
        source_labels: ['__meta_kubernetes_pod_annotation_prometheus_io_path'],
        regex: '(.+)',
        target_label: '__metrics_path__',
      },
      ...LABELS.map(([target_label, source]) => ({ source_labels: [source], target_label })),
      // A Deployment's pods are controlled by a ReplicaSet named <deployment>-<hash>.
      {
        source_labels: ['__meta_kubernetes_pod_controller_kind', '__meta_kubernetes_pod_controller_name'],
        regex: 'ReplicaSet;(.+)-[a-z0-9]+',
        target_label: 'deployment',
      },
      {
        source_labels: ['__meta_kubernetes_pod_controller_kind', '__meta_kubernetes_pod_controller_name'],
        regex: 'ReplicaSet;(.+)-[a-z0-9]+',
        target_label: 'workload',
      },
    ],
  };
}

/** The API server's own metrics; in simulated labs pods have no address that may be dialled. */
function jobs(lab: Lab) {
  const apiserver = {
    job_name: 'kube-apiserver',
    scheme: 'https',
    scrape_interval: '10s',
    tls_config: {
      ca_file: join(lab.paths.pki, 'ca.crt'),
      cert_file: join(lab.paths.pki, 'prometheus.crt'),
      key_file: join(lab.paths.pki, 'prometheus.key'),
    },
    static_configs: [{ targets: [new URL(serverUrl(lab)).host] }],
  };
  const temporal = {
    job_name: 'temporal',
    scrape_interval: '10s',
    static_configs: [{ targets: [`127.0.0.1:${lab.port('temporal-metrics')}`] }],
  };
  return lab.state.nodes === 'real' ? [podJob(lab), apiserver, temporal] : [apiserver, temporal];
}

export function prometheusConfig(lab: Lab) {
  return {
    global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
    rule_files: [join(REPOSITORY, 'deploy/alerting/rules/*.yaml'), join(REPOSITORY, 'lab/rules/*.yaml')],
    alerting: {
      alertmanagers: [{ static_configs: [{ targets: [`127.0.0.1:${lab.port('alertmanager')}`] }] }],
    },
    scrape_configs: jobs(lab),
  };
}

export const prometheus: Component = {
  name: 'prometheus',
  parts: ['prometheus', 'promtool'],
  ports: ['prometheus'],
  after: ['certificates'],
  readyTimeoutMs: 45_000,
  launch(lab) {
    const config = join(lab.folder('config'), 'prometheus.yaml');
    writeWhole(config, JSON.stringify(prometheusConfig(lab), null, 2));
    return {
      part: 'prometheus',
      args: flags({
        'config.file': config,
        'storage.tsdb.path': lab.folder('data', 'prometheus'),
        'storage.tsdb.retention.time': '6h',
        'web.listen-address': `127.0.0.1:${lab.port('prometheus')}`,
        'web.enable-lifecycle': '',
        // Alerts are sent again this often; the default of a minute would hide a lost notification for that long.
        'rules.alert.resend-delay': '5s',
        'log.level': 'warn',
      }).map((flag) => flag.replace(/=$/, '')),
    };
  },
  ready: (lab) => healthy(`http://127.0.0.1:${lab.port('prometheus')}/-/ready`),
};

const TEMPLATE = join(REPOSITORY, 'deploy/alerting/alertmanager.yaml');

interface AlertmanagerTemplate {
  receivers?: {
    name: string;
    webhook_configs?: { url?: string; http_config?: { authorization?: { credentials_file?: string } } }[];
  }[];
}

/**
 * The repository's own configuration with address and token file of the receiver "slipway" set to the lab's
 * gateway, or, without one, a route that sends everything there at once.
 */
export async function alertmanagerConfig(url: string, tokenFile: string, template?: string): Promise<string> {
  if (template !== undefined) {
    const { parse } = await import('yaml');
    const parsed = parse(template) as AlertmanagerTemplate;
    for (const webhook of parsed.receivers?.find(({ name }) => name === 'slipway')?.webhook_configs ?? []) {
      webhook.url = `${url}/v1/alerts`;
      webhook.http_config = {
        ...webhook.http_config,
        authorization: { ...webhook.http_config?.authorization, credentials_file: tokenFile },
      };
    }
    return `${JSON.stringify(parsed, null, 2)}\n`;
  }
  const config = {
    route: {
      receiver: 'slipway',
      group_by: ['alertname', 'namespace', 'app'],
      group_wait: '0s',
      group_interval: '1s',
      repeat_interval: '1m',
    },
    receivers: [
      {
        name: 'slipway',
        webhook_configs: [
          {
            url: `${url}/v1/alerts`,
            send_resolved: true,
            http_config: { authorization: { type: 'Bearer', credentials_file: tokenFile } },
          },
        ],
      },
    ],
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

export const alertmanager: Component = {
  name: 'alertmanager',
  parts: ['alertmanager', 'amtool'],
  ports: ['alertmanager'],
  after: [],
  readyTimeoutMs: 30_000,
  async launch(lab) {
    const file = join(lab.folder('config'), 'alertmanager.yaml');
    const url = `http://127.0.0.1:${lab.port('gateway')}`;
    const template = existsSync(TEMPLATE) ? readFileSync(TEMPLATE, 'utf8') : undefined;
    writeWhole(file, await alertmanagerConfig(url, lab.paths.gatewayToken, template));
    return {
      part: 'alertmanager',
      args: flags({
        'config.file': file,
        'storage.path': lab.folder('data', 'alertmanager'),
        'web.listen-address': `127.0.0.1:${lab.port('alertmanager')}`,
        'cluster.listen-address': '', // alone: no gossip, no second port
        'log.level': 'warn',
      }),
    };
  },
  ready: (lab) => healthy(`http://127.0.0.1:${lab.port('alertmanager')}/-/ready`),
};
