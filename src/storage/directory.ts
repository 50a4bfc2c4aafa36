import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, lstat, open, readdir, rename, unlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { addAbortSignal, type Readable } from 'node:stream';
import type { Bytes } from './compression.ts';
import { filePieces } from './file-pieces.ts';
import {
  checkName,
  exists,
  missing,
  type PutOptions,
  type ReadOptions,
  type StagedObject,
  type Storage,
  StorageError,
  type StoredObject,
} from './storage.ts';

/** Unfinished files: `.NAME.RANDOM.partial`; hidden, and never shown by {@link DirectoryStorage.list}. */
const partialEnding = '.partial';

/** After so many bytes the disk is told to begin, so that at the end little is left to wait for. */
const flushEvery = 32 << 20;

/** Files in one directory. Only regular files count: symbolic links are neither followed nor shown nor deleted. */
export class DirectoryStorage implements Storage {
  readonly location: string;

  /** The directory must exist: a volume that is not mounted must not turn into a directory on the wrong disk. */
  constructor(directory: string) {
    this.location = resolve(directory);
  }

  async stage(name: string, source: Bytes, options: PutOptions = {}): Promise<StagedObject> {
    checkName(name);
    const temporary = this.#temporary(name);
    const file = await this.#guard(`create ${name}`, () => open(temporary, 'wx', 0o600));
    const flusher = new Flusher(file);
    let size = 0;
    try {
      try {
        for await (const chunk of source) {
          options.signal?.throwIfAborted();
          await this.#guard(`write ${name}`, () => writeAll(file, chunk));
          size += chunk.length;
          flusher.wrote(chunk.length);
        }
        options.signal?.throwIfAborted();
        await this.#guard(`flush ${name}`, () => flusher.end());
      } finally {
        await flusher.settled;
        await this.#guard(`close ${name}`, () => file.close());
      }
      await this.#assertSize(temporary, name, size);
    } catch (error) {
      await unlink(temporary).catch(() => undefined); // the first error is the one to tell
      throw error;
    }
    return this.#staged(name, temporary, size);
  }

  #staged(name: string, temporary: string, size: number): StagedObject {
    let path = temporary;
    return {
      size,
      read: (signal) => this.#stream(path, undefined, undefined, signal),
      publish: async () => {
        await this.#nameWithoutReplacing(temporary, name);
        path = this.#path(name);
      },
      discard: async () => {
        await unlink(path).catch(ignoreMissing);
      },
    };
  }

  async write(name: string, content: Uint8Array | string, { replace = false } = {}): Promise<void> {
    checkName(name);
    const temporary = this.#temporary(name);
    try {
      await this.#guard(`write ${name}`, async () => {
        const file = await open(temporary, 'wx', 0o600);
        try {
          await writeAll(file, Buffer.from(content));
          await file.sync();
        } finally {
          await file.close();
        }
      });
      if (replace) await this.#guard(`rename ${name}`, () => rename(temporary, this.#path(name)));
      else await this.#nameWithoutReplacing(temporary, name);
    } catch (error) {
      await unlink(temporary).catch(() => undefined);
      throw error;
    }
    await this.#syncDirectory();
  }

  async read(name: string, { start, end, signal }: ReadOptions = {}): Promise<Readable> {
    checkName(name);
    if (!(await this.stat(name))) throw missing(name, this.location);
    return this.#stream(this.#path(name), start, end, signal);
  }

  async pieces(name: string, signal?: AbortSignal): Promise<Bytes> {
    checkName(name);
    if (!(await this.stat(name))) throw missing(name, this.location);
    return filePieces(() => this.#open(this.#path(name)), signal);
  }

  async stat(name: string): Promise<StoredObject | undefined> {
    checkName(name);
    try {
      const info = await lstat(this.#path(name));
      return info.isFile() ? { name, size: info.size, modified: info.mtime } : undefined;
    } catch (error) {
      ignoreMissing(error);
      return undefined;
    }
  }

  async list(prefix = ''): Promise<StoredObject[]> {
    const entries = await this.#guard('list', () => readdir(this.location, { withFileTypes: true }));
    const found: StoredObject[] = [];
    for (const entry of entries) {
      if (!entry.isFile() || entry.name.startsWith('.') || !entry.name.startsWith(prefix)) continue;
      if (!/^[A-Za-z0-9._-]{1,200}$/.test(entry.name)) continue;
      const object = await this.stat(entry.name);
      if (object) found.push(object);
    }
    return found.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async delete(name: string): Promise<void> {
    if (!(await this.stat(name))) return;
    await this.#guard(`delete ${name}`, () => unlink(this.#path(name)).catch(ignoreMissing));
    await this.#syncDirectory();
  }

  async removeUnfinished(name: string): Promise<number> {
    checkName(name);
    const entries = await this.#guard('list', () => readdir(this.location, { withFileTypes: true }));
    const isOurs = /^[0-9a-f]{12}\.partial$/;
    const left = entries.filter(
      (entry) =>
        entry.isFile() &&
        entry.name.startsWith(`.${name}.`) &&
        isOurs.test(entry.name.slice(name.length + 2)),
    );
    for (const entry of left) await unlink(join(this.location, entry.name)).catch(ignoreMissing);
    return left.length;
  }

  async close(): Promise<void> {
    // nothing is held open between calls
  }

  async #stream(path: string, start?: number, end?: number, signal?: AbortSignal): Promise<Readable> {
    const file = await this.#open(path);
    const range = { ...(start !== undefined && { start }), ...(end !== undefined && { end }) };
    const stream = file.createReadStream({ highWaterMark: 1 << 20, ...range });
    return signal ? addAbortSignal(signal, stream) : stream;
  }

  #open(path: string): Promise<FileHandle> {
    return this.#guard(`open ${path}`, () => open(path, constants.O_RDONLY | constants.O_NOFOLLOW));
  }

  #path(name: string): string {
    return join(this.location, name);
  }

  #temporary(name: string): string {
    return join(this.location, `.${name}.${randomBytes(6).toString('hex')}${partialEnding}`);
  }

  /** A hard link fails when the name is taken, which a rename does not; some file systems have no links. */
  async #nameWithoutReplacing(temporary: string, name: string): Promise<void> {
    try {
      await link(temporary, this.#path(name));
      await unlink(temporary);
    } catch (error) {
      const code = errorCode(error);
      if (code === 'EEXIST') throw exists(name, this.location);
      if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP' && code !== 'ENOSYS')
        throw this.#explain(`name ${name}`, error);
      if (await this.stat(name)) throw exists(name, this.location);
      await this.#guard(`rename ${name}`, () => rename(temporary, this.#path(name)));
    }
    await this.#syncDirectory();
  }

  async #assertSize(path: string, name: string, size: number): Promise<void> {
    const info = await this.#guard(`check ${name}`, () => lstat(path));
    if (info.size !== size)
      throw new StorageError(`${name}: ${size} bytes were written, ${info.size} are in ${this.location}`);
  }

  /** Makes the names themselves survive a power cut. */
  async #syncDirectory(): Promise<void> {
    await this.#guard('flush the directory', async () => {
      const directory = await open(this.location, 'r');
      try {
        await directory.sync();
      } catch (error) {
        if (errorCode(error) !== 'EINVAL') throw error; // network file systems that cannot
      } finally {
        await directory.close();
      }
    });
  }

  async #guard<T>(action: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.#explain(action, error);
    }
  }

  #explain(action: string, error: unknown): unknown {
    const code = errorCode(error);
    if (code === undefined) return error;
    const reasons: Record<string, string> = {
      ENOSPC: 'no space left',
      EDQUOT: 'the quota is used up',
      ENOENT: 'the directory does not exist (is the volume mounted?)',
      EACCES: 'permission denied',
      EROFS: 'the file system is read-only',
    };
    return new StorageError(
      `cannot ${action} in ${this.location}: ${reasons[code] ?? (error as Error).message}`,
      { cause: error },
    );
  }
}

/** Flushes a file while it is written. What the system says of a write that failed, it says only once: so it is kept. */
class Flusher {
  readonly #file: FileHandle;
  /** Resolves when none is under way. */
  settled: Promise<void> = Promise.resolve();
  #unflushed = 0;
  #flushing = false;
  #error: unknown;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  wrote(bytes: number): void {
    this.#unflushed += bytes;
    if (this.#flushing || this.#unflushed < flushEvery) return;
    this.#flushing = true;
    this.#unflushed = 0;
    this.settled = this.#flush();
  }

  /** @throws what the system says when any byte did not get to the disk */
  async end(): Promise<void> {
    await this.settled;
    if (this.#error) throw this.#error;
    await this.#file.sync();
  }

  async #flush(): Promise<void> {
    try {
      await this.#file.datasync();
    } catch (error) {
      this.#error ??= error;
    } finally {
      this.#flushing = false;
    }
  }
}

/** A short write is not an error to the system, so go on until all is written or the system says why not. */
async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at);
    at += bytesWritten;
  }
}

function errorCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

function ignoreMissing(error: unknown): void {
  if (errorCode(error) !== 'ENOENT') throw error;
}
