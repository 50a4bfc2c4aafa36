// An S3-compatible server on demand (`lab up --with s3`): SeaweedFS with one bucket.
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from '../lab.ts';
import { writeWhole } from '../state.ts';
import { listening } from '../wait.ts';
import type { Component } from './component.ts';

export const S3_BUCKET = 'slipway';

interface Identities {
  identities: { name: string; credentials: { accessKey: string; secretKey: string }[]; actions: string[] }[];
}

const identitiesFile = (lab: Lab): string => join(lab.paths.dir, 'config', 's3.json');

export function s3Credentials(lab: Lab): { accessKey: string; secretKey: string } {
  const file = identitiesFile(lab);
  if (!existsSync(file)) {
    const credentials = [
      { accessKey: randomBytes(10).toString('hex'), secretKey: randomBytes(20).toString('hex') },
    ];
    const content: Identities = {
      identities: [{ name: 'lab', credentials, actions: ['Admin', 'Read', 'Write', 'List', 'Tagging'] }],
    };
    writeWhole(file, JSON.stringify(content, null, 2), 0o600);
  }
  const { identities } = JSON.parse(readFileSync(file, 'utf8')) as Identities;
  return identities[0]?.credentials[0] as { accessKey: string; secretKey: string };
}

const PORTS = ['s3', 's3-master', 's3-volume', 's3-filer'] as const;

export const s3: Component = {
  name: 's3',
  parts: ['weed'],
  // Every HTTP port of weed has a gRPC port beside it, see below.
  ports: [...PORTS, ...PORTS.map((port) => `${port}-grpc`)],
  after: [],
  readyTimeoutMs: 45_000,
  launch(lab) {
    s3Credentials(lab);
    const port = (name: string) => String(lab.port(name));
    return {
      part: 'weed',
      args: [
        ...[
          'server',
          '-ip',
          '127.0.0.1',
          '-ip.bind',
          '127.0.0.1',
          '-dir',
          lab.folder('data', 's3'),
          '-s3',
          '-filer',
        ],
        ...[
          '-master.port',
          port('s3-master'),
          '-master.port.grpc',
          port('s3-master-grpc'),
          '-master.volumeSizeLimitMB',
          '1024',
        ],
        ...[
          '-volume.port',
          port('s3-volume'),
          '-volume.port.grpc',
          port('s3-volume-grpc'),
          '-volume.max',
          '50',
        ],
        ...['-filer.port', port('s3-filer'), '-filer.port.grpc', port('s3-filer-grpc')],
        ...[
          '-s3.port',
          port('s3'),
          '-s3.port.grpc',
          port('s3-grpc'),
          '-s3.config',
          identitiesFile(lab),
          '-s3.iam=false',
          // Its catalog would listen on a fixed port, and a second S3 server on the machine would die of it.
          '-s3.port.iceberg=0',
          '-s3.port.lance=0',
        ],
      ],
    };
  },
  ready: (lab) => listening(lab.port('s3')),
  async settle(lab) {
    const { S3Client, CreateBucketCommand, HeadBucketCommand } = await import('@aws-sdk/client-s3');
    const { accessKey, secretKey } = s3Credentials(lab);
    const client = new S3Client({
      endpoint: `http://127.0.0.1:${lab.port('s3')}`,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
      maxAttempts: 10,
    });
    try {
      await client
        .send(new HeadBucketCommand({ Bucket: S3_BUCKET }))
        .catch(() => client.send(new CreateBucketCommand({ Bucket: S3_BUCKET })));
    } finally {
      client.destroy();
    }
  },
};
