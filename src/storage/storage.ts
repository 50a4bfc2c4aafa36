// What a place for backups must be able to do. Two exist: a directory (also a mounted volume) and S3.
import type { Readable } from 'node:stream';
import type { Bytes } from './compression.ts';

/** One stored file. Names are relative to the storage's root and use only letters, digits and `._-`. */
export interface StoredObject {
  name: string;
  size: number;
  modified: Date;
}

export interface PutOptions {
  signal?: AbortSignal | undefined;
}

/** A part of a file; all of it when neither end is given. */
export interface ReadOptions {
  /** First and last byte, both included, counted from 0. */
  start?: number;
  end?: number;
  signal?: AbortSignal | undefined;
}

/** A file that is completely stored but not yet under its name (a directory) or not yet counted (S3). */
export interface StagedObject {
  size: number;
  /** Reads it back from the storage, not from any cache of ours. */
  read(signal?: AbortSignal): Promise<Readable>;
  /** Gives it its name. Never replaces another file. @throws ObjectExistsError */
  publish(): Promise<void>;
  /** Removes it, published or not. */
  discard(): Promise<void>;
}

export interface Storage {
  /** For people and manifests: a path or `s3://bucket/prefix`, without credentials. */
  readonly location: string;
  /**
   * Stores a stream; nothing is visible under `name` before all bytes are safe on the medium. When the source, the
   * medium or the signal fails, what was written is removed and the error thrown.
   */
  stage(name: string, source: Bytes, options?: PutOptions): Promise<StagedObject>;
  /** Stores a small file at once. @throws ObjectExistsError when the name is taken and `replace` is not set */
  write(name: string, content: Uint8Array | string, options?: { replace?: boolean }): Promise<void>;
  /** @throws ObjectNotFoundError */
  read(name: string, options?: ReadOptions): Promise<Readable>;
  /**
   * All of a file, for a reader that is done with a piece when it asks for the next: the memory may be used again.
   * @throws ObjectNotFoundError
   */
  pieces(name: string, signal?: AbortSignal): Promise<Bytes>;
  /** Undefined when there is no such file. */
  stat(name: string): Promise<StoredObject | undefined>;
  /** Files directly under the root whose names begin with `prefix`, ordered by name; unfinished ones are not shown. */
  list(prefix?: string): Promise<StoredObject[]>;
  /** A file that does not exist is no error. */
  delete(name: string): Promise<void>;
  /** Removes what a killed process left of unfinished stores of this name; gives how many there were. */
  removeUnfinished(name: string): Promise<number>;
  close(): Promise<void>;
}

export class ObjectNotFoundError extends Error {
  override name = 'ObjectNotFoundError';
}

export class ObjectExistsError extends Error {
  override name = 'ObjectExistsError';
}

/** The medium failed or refused; the message says where and why. */
export class StorageError extends Error {
  override name = 'StorageError';
}

/** The name is taken at this place, and nothing is replaced. */
export function exists(name: string, location: string, options?: ErrorOptions): ObjectExistsError {
  return new ObjectExistsError(`${name} exists already at ${location}`, options);
}

/** No such name at this place. */
export function missing(name: string, location: string, options?: ErrorOptions): ObjectNotFoundError {
  return new ObjectNotFoundError(`${name} does not exist at ${location}`, options);
}

/** @throws StorageError when a name could lead out of the root or be mistaken for something else */
export function checkName(name: string): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/.test(name)) {
    throw new StorageError(
      `storage name ${JSON.stringify(name)}: 1 to 200 letters, digits and ._- are allowed, beginning with a letter or digit`,
    );
  }
}

/** Reads a small file whole. @throws StorageError when it is larger than `limit` bytes */
export async function readSmall(storage: Storage, name: string, limit = 64 << 20): Promise<Buffer> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of (await storage.read(name)) as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > limit)
      throw new StorageError(`${name} at ${storage.location} is larger than ${limit} bytes`);
    parts.push(chunk);
  }
  return Buffer.concat(parts);
}
