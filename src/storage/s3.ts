import {
  AbortMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import { addAbortSignal, Readable } from 'node:stream';
import type { Bytes } from './compression.ts';
import { abortable, MultipartUpload, PartMemory, partsOf, statusOf } from './s3-multipart.ts';
import {
  checkName,
  exists,
  missing,
  ObjectNotFoundError,
  type PutOptions,
  type ReadOptions,
  type StagedObject,
  type Storage,
  StorageError,
  type StoredObject,
} from './storage.ts';

interface S3Options {
  bucket: string;
  /** Folder inside the bucket, without slashes at its ends; empty for the bucket's root. */
  prefix?: string | undefined;
  /** For servers other than AWS, for example `https://minio.storage:9000`. */
  endpoint?: string | undefined;
  region?: string | undefined;
  /** Bucket in the path instead of in the host name; with an endpoint when missing. */
  forcePathStyle?: boolean | undefined;
  /** From the environment, the instance or the pod (the SDK's chain) when missing. */
  credentials?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string } | undefined;
}

/** Tries of one request, with growing pauses, before an error of the server counts. */
const maxAttempts = 6;
/** Times that a broken download goes on from where it stopped without a single byte in between. */
const maxReadRetries = 5;

/** Objects under one prefix of a bucket of any S3-compatible server. */
export class S3Storage implements Storage {
  readonly location: string;
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #folder: string;

  constructor({
    bucket,
    prefix = '',
    endpoint,
    region = 'us-east-1',
    forcePathStyle,
    credentials,
  }: S3Options) {
    this.#bucket = bucket;
    this.#folder = prefix === '' ? '' : `${prefix}/`;
    this.location = `s3://${bucket}/${prefix}`;
    this.#client = new S3Client({
      region,
      maxAttempts,
      // Servers that are not AWS know neither virtual hosts nor the newest checksums; we read everything back ourselves.
      forcePathStyle: forcePathStyle ?? endpoint !== undefined,
      ...(endpoint !== undefined && { endpoint }),
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: { connectionTimeout: 10_000, requestTimeout: 120_000 },
      ...(credentials && { credentials }),
    });
  }

  async stage(name: string, source: Bytes, { signal }: PutOptions = {}): Promise<StagedObject> {
    checkName(name);
    if (await this.stat(name)) throw exists(name, this.location);
    const size = await this.#upload(name, source, signal);
    const stored = await this.stat(name);
    if (stored?.size !== size) {
      await this.delete(name);
      throw new StorageError(
        `${name}: ${size} bytes were sent to ${this.location}, it has ${stored?.size ?? 'nothing'}`,
      );
    }
    return {
      size,
      read: (readSignal) => this.read(name, { signal: readSignal }),
      publish: async () => undefined, // S3 cannot rename; the object counts from its manifest on
      discard: () => this.delete(name),
    };
  }

  /** Small streams go in one request, others in parts of which several are under way at once. */
  async #upload(name: string, source: Bytes, signal: AbortSignal | undefined): Promise<number> {
    const key = this.#key(name);
    const memory = new PartMemory();
    let upload: MultipartUpload | undefined;
    try {
      for await (const { body, number, last } of partsOf(source, memory)) {
        signal?.throwIfAborted();
        if (number === 1 && last) {
          await this.#checked(
            name,
            this.#client.send(
              new PutObjectCommand({ Bucket: this.#bucket, Key: key, Body: body }),
              abortable(signal),
            ),
          );
          return body.length;
        }
        upload ??= await this.#startUpload(name, memory, signal);
        await upload.add(number, body);
      }
      if (!upload) throw new StorageError(`${name}: the stream had no end`);
      return await this.#checked(name, upload.complete());
    } catch (error) {
      await upload?.abort();
      throw this.#explain(name, error);
    }
  }

  async #startUpload(
    name: string,
    memory: PartMemory,
    signal: AbortSignal | undefined,
  ): Promise<MultipartUpload> {
    const target = { Bucket: this.#bucket, Key: this.#key(name) };
    const { UploadId } = await this.#checked(
      name,
      this.#client.send(new CreateMultipartUploadCommand(target), abortable(signal)),
    );
    if (UploadId === undefined) throw new StorageError(`${name}: ${this.location} gave no upload id`);
    return new MultipartUpload(this.#client, { ...target, UploadId }, memory, signal);
  }

  async write(name: string, content: Uint8Array | string, { replace = false } = {}): Promise<void> {
    checkName(name);
    const target = { Bucket: this.#bucket, Key: this.#key(name), Body: Buffer.from(content) };
    if (!replace && (await this.stat(name))) throw exists(name, this.location);
    try {
      await this.#checked(
        name,
        this.#client.send(new PutObjectCommand({ ...target, ...(!replace && { IfNoneMatch: '*' }) })),
      );
    } catch (error) {
      if (!(error instanceof StorageError) || statusOf(error.cause) !== 501) throw error;
      await this.#checked(name, this.#client.send(new PutObjectCommand(target))); // a server without conditional writes
    }
  }

  async read(name: string, { start = 0, end, signal }: ReadOptions = {}): Promise<Readable> {
    checkName(name);
    const stored = await this.stat(name);
    if (!stored) throw missing(name, this.location);
    const last = Math.min(end ?? Infinity, stored.size - 1);
    const stream = Readable.from(this.#range(name, start, last, signal), {
      objectMode: false,
      highWaterMark: 1 << 20,
    });
    return signal ? addAbortSignal(signal, stream) : stream;
  }

  async pieces(name: string, signal?: AbortSignal): Promise<Bytes> {
    return this.read(name, { signal });
  }

  /** A download that breaks goes on with the next byte, as long as it is still the same object. */
  async *#range(name: string, start: number, last: number, signal?: AbortSignal): AsyncGenerator<Buffer> {
    let at = start;
    let etag: string | undefined;
    for (let retries = 0; at <= last; ) {
      try {
        const range = { Range: `bytes=${at}-${last}`, ...(etag !== undefined && { IfMatch: etag }) };
        const reply = await this.#checked(
          name,
          this.#client.send(
            new GetObjectCommand({ Bucket: this.#bucket, Key: this.#key(name), ...range }),
            abortable(signal),
          ),
        );
        etag ??= reply.ETag;
        for await (const chunk of reply.Body as Readable as AsyncIterable<Buffer>) {
          yield chunk;
          at += chunk.length;
          retries = 0;
        }
        if (at <= last)
          throw new StorageError(`${name}: the download from ${this.location} stopped at byte ${at}`);
      } catch (error) {
        signal?.throwIfAborted();
        if (
          error instanceof ObjectNotFoundError ||
          statusOf((error as Error).cause) === 412 ||
          retries++ >= maxReadRetries
        )
          throw error;
      }
    }
  }

  async stat(name: string): Promise<StoredObject | undefined> {
    checkName(name);
    try {
      const head = await this.#checked(
        name,
        this.#client.send(new HeadObjectCommand({ Bucket: this.#bucket, Key: this.#key(name) })),
      );
      return { name, size: head.ContentLength ?? 0, modified: head.LastModified ?? new Date(0) };
    } catch (error) {
      if (error instanceof ObjectNotFoundError) return undefined;
      throw error;
    }
  }

  async list(prefix = ''): Promise<StoredObject[]> {
    const found: StoredObject[] = [];
    let ContinuationToken: string | undefined;
    do {
      const page = await this.#checked(
        'the list',
        this.#client.send(
          new ListObjectsV2Command({
            Bucket: this.#bucket,
            Prefix: `${this.#folder}${prefix}`,
            Delimiter: '/',
            ContinuationToken,
          }),
        ),
      );
      for (const { Key = '', Size = 0, LastModified = new Date(0) } of page.Contents ?? []) {
        const name = Key.slice(this.#folder.length);
        if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/.test(name))
          found.push({ name, size: Size, modified: LastModified });
      }
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken !== undefined && ContinuationToken !== '');
    return found.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async delete(name: string): Promise<void> {
    checkName(name);
    await this.#checked(
      name,
      this.#client.send(new DeleteObjectCommand({ Bucket: this.#bucket, Key: this.#key(name) })),
    );
  }

  async removeUnfinished(name: string): Promise<number> {
    checkName(name);
    const Key = this.#key(name);
    const listed = await this.#checked(
      name,
      this.#client.send(
        new ListMultipartUploadsCommand({ Bucket: this.#bucket, Prefix: Key, MaxUploads: 1000 }),
      ),
    );
    const left = (listed.Uploads ?? []).filter((upload) => upload.Key === Key);
    for (const { UploadId } of left) {
      await this.#checked(
        name,
        this.#client.send(new AbortMultipartUploadCommand({ Bucket: this.#bucket, Key, UploadId })),
      ).catch(ignoreMissing);
    }
    return left.length;
  }

  async close(): Promise<void> {
    this.#client.destroy();
  }

  #key(name: string): string {
    return `${this.#folder}${name}`;
  }

  async #checked<T>(name: string, reply: Promise<T>): Promise<T> {
    try {
      return await reply;
    } catch (error) {
      throw this.#explain(name, error);
    }
  }

  #explain(name: string, error: unknown): unknown {
    if (!(error instanceof Error) || !('$metadata' in error || 'code' in error)) return error; // of the source, or explained
    const status = statusOf(error);
    if (error instanceof S3ServiceException && (status === 404 || error.name === 'NoSuchKey')) {
      if (error.name === 'NoSuchBucket')
        return new StorageError(`the bucket of ${this.location} does not exist`, { cause: error });
      return missing(name, this.location, { cause: error });
    }
    if (status === 412 && !(error as Error).message.includes('ETag')) {
      return exists(name, this.location, { cause: error });
    }
    if ((error as Error).name === 'AbortError') return error;
    const reason =
      error instanceof S3ServiceException ? `${error.name} (HTTP ${status})` : (error as Error).message;
    return new StorageError(`${this.location}: ${name}: ${reason}`, { cause: error });
  }
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof ObjectNotFoundError)) throw error;
}
