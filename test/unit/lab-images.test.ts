import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fullReference, hasImage } from '../../lab/images.ts';
import { describeImage, packLayer, writeLayout } from '../../lab/oci.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-oci-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function layer(name: string, content: string, date = 1) {
  const root = join(folder, name);
  mkdirSync(root);
  writeFileSync(join(root, 'file'), content);
  utimesSync(join(root, 'file'), date, date);
  return packLayer(root, join(folder, `${name}.tar`));
}

const sha256 = (content: Buffer) => `sha256:${createHash('sha256').update(content).digest('hex')}`;

describe('an image', () => {
  it('has the same digest whenever it is built from the same content, and another from another', async () => {
    const image = { reference: 'docker.io/a/b:1', entrypoint: ['/x'] };
    const first = describeImage({ ...image, layers: [await layer('one', 'same', 1)] });
    const second = describeImage({ ...image, layers: [await layer('two', 'same', 1e9)] });
    const other = describeImage({ ...image, layers: [await layer('three', 'other')] });
    expect(second.digest).toBe(first.digest);
    expect(other.digest).not.toBe(first.digest);
    expect(describeImage({ ...image, layers: [], env: { APP_VERSION: 'v2' } }).digest).not.toBe(
      describeImage({ ...image, layers: [], env: { APP_VERSION: 'v1' } }).digest,
    );
  });

  it('is a layout in which every blob is what its name says, and shared layers are there once', async () => {
    const shared = await layer('shared', 'x');
    const images = ['1', '2'].map((tag) => ({
      reference: `docker.io/a/b:${tag}`,
      layers: [shared],
      entrypoint: ['/x'],
      env: { TAG: tag },
      user: '1000:3000',
    }));
    const layout = join(folder, 'layout');
    await writeLayout(layout, images);
    const blob = (digest: string) =>
      readFileSync(join(layout, 'blobs/sha256', digest.replace('sha256:', '')));
    const { manifests } = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8'));
    expect(
      manifests.map(
        (each: { annotations: Record<string, string> }) => each.annotations['io.containerd.image.name'],
      ),
    ).toEqual(['docker.io/a/b:1', 'docker.io/a/b:2']);
    for (const { digest, size } of manifests) {
      expect(sha256(blob(digest))).toBe(digest);
      expect(blob(digest).length).toBe(size);
      const manifest = JSON.parse(blob(digest).toString());
      const config = JSON.parse(blob(manifest.config.digest).toString());
      expect(config.rootfs.diff_ids).toEqual([shared.digest]);
      expect(config.config.User).toBe('1000:3000');
      for (const each of manifest.layers) expect(sha256(blob(each.digest))).toBe(each.digest);
    }
    const blobs = execFileSync('ls', [join(layout, 'blobs/sha256')], { encoding: 'utf8' })
      .trim()
      .split('\n');
    expect(blobs).toHaveLength(5); // two manifests, two configurations, one layer
  });

  it('is known by the full name that containerd gives a short one', () => {
    expect(fullReference('busybox', '1')).toBe('docker.io/library/busybox:1');
    expect(fullReference('ecommerce/product-service', 'v1')).toBe('docker.io/ecommerce/product-service:v1');
    expect(fullReference('localhost:5000/x', 'v1')).toBe('localhost:5000/x:v1');
  });

  it('is imported again when the name stands for other content', () => {
    const listing = 'REF TYPE DIGEST\ndocker.io/a/b:1 application/vnd sha256:aa 1 MiB linux/amd64 -\n';
    expect(hasImage(listing, 'docker.io/a/b:1', 'sha256:aa')).toBe(true);
    expect(hasImage(listing, 'docker.io/a/b:1', 'sha256:bb')).toBe(false);
    expect(hasImage(listing, 'docker.io/a/b:10', 'sha256:aa')).toBe(false);
  });
});
