// Writes OCI image layouts: what a registry or `ctr images import` takes, made without a container engine.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { run } from './provision/run.ts';

/** An uncompressed tar of files; for such a layer digest and "diff id" are the same. */
export interface Layer {
  file: string;
  digest: string;
  size: number;
}

export interface ImageSpec {
  /** Full reference, for example docker.io/ecommerce/product-service:v1.0.0. */
  reference: string;
  layers: readonly Layer[];
  entrypoint: readonly string[];
  env?: Readonly<Record<string, string>>;
  /** "uid" or "uid:gid". */
  user?: string;
  workingDir?: string;
}

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
}

const EPOCH = '1970-01-01T00:00:00Z'; // same content, same digest

/** Packs the content of `folder`: sorted, owned by root, dated to the epoch, so that equal content gives an equal digest. */
export async function packLayer(folder: string, file: string): Promise<Layer> {
  const reproducible = [
    '--sort=name',
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--mtime=@0',
    '--format=gnu',
  ];
  await run('tar', [...reproducible, '-C', folder, '-cf', file, '.']);
  return describeLayer(file);
}

export async function describeLayer(file: string): Promise<Layer> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return { file, digest: `sha256:${hash.digest('hex')}`, size: (await stat(file)).size };
}

const architecture = (): string => (process.arch === 'x64' ? 'amd64' : process.arch);

/** The image's configuration, manifest and the manifest's digest, which identifies the image. */
export function describeImage(image: ImageSpec): { config: Buffer; manifest: Buffer; digest: string } {
  const config = Buffer.from(
    JSON.stringify({
      created: EPOCH,
      architecture: architecture(),
      os: 'linux',
      config: {
        Entrypoint: image.entrypoint,
        Env: [
          'PATH=/usr/local/bin:/usr/bin:/bin',
          ...Object.entries(image.env ?? {}).map(([name, value]) => `${name}=${value}`),
        ],
        ...(image.user && { User: image.user }),
        WorkingDir: image.workingDir ?? '/',
      },
      rootfs: { type: 'layers', diff_ids: image.layers.map((layer) => layer.digest) },
    }),
  );
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: descriptor('application/vnd.oci.image.config.v1+json', config),
      layers: image.layers.map(({ digest, size }) => ({
        mediaType: 'application/vnd.oci.image.layer.v1.tar',
        digest,
        size,
      })),
    }),
  );
  return { config, manifest, digest: digestOf(manifest) };
}

const digestOf = (content: Buffer): string => `sha256:${createHash('sha256').update(content).digest('hex')}`;

function descriptor(mediaType: string, content: Buffer): Descriptor {
  return { mediaType, digest: digestOf(content), size: content.length };
}

/** Writes the layout of one or more images into `folder`; layers they share are there once. */
export async function writeLayout(folder: string, images: readonly ImageSpec[]): Promise<void> {
  const blobs = join(folder, 'blobs', 'sha256');
  await mkdir(blobs, { recursive: true });
  const blob = (digest: string) => join(blobs, digest.slice('sha256:'.length));
  const manifests = [];
  for (const image of images) {
    const { config, manifest, digest } = describeImage(image);
    await writeFile(blob(digestOf(config)), config);
    await writeFile(blob(digest), manifest);
    for (const layer of image.layers) await copyFile(layer.file, blob(layer.digest));
    manifests.push({
      ...descriptor('application/vnd.oci.image.manifest.v1+json', manifest),
      platform: { architecture: architecture(), os: 'linux' },
      annotations: {
        'io.containerd.image.name': image.reference,
        'org.opencontainers.image.ref.name': image.reference.slice(image.reference.lastIndexOf(':') + 1),
      },
    });
  }
  const index = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests };
  await writeFile(join(folder, 'index.json'), JSON.stringify(index));
  await writeFile(join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
}
