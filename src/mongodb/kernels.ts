// The inner loops of dump and restore as WebAssembly: 4 to 8 times the speed of the same in JavaScript.
// The source is kernels.wat; this text is its compiled form.
const compiled = [
  'AGFzbQEAAAABIQVgA39/fgF+YAJ+fgF+YAJ+fwF+YAN/f38BfmACf38BfgMJCAABAgMBAQQEBQMBAAIHNwUGbWVtb3J5AgAFY3JjNjQA',
  'AAtjcmM2NEJlZm9yZQACB2NvbXBhY3QAAwpjb250ZW50U3VtAAcK5QkI7AICAX8CfiAAIAFqIQMgAkJ/hSECAkADQCADIABrQRBJDQEg',
  'AiAAKQMAhSEEIAApAwghBSAEp0H/AXFBA3QpA4DwASAEQgWIp0H4D3EpA4DgAYUgBEINiKdB+A9xKQOA0AEgBEIViKdB+A9xKQOAwAGF',
  'hSAEQh2Ip0H4D3EpA4CwASAEQiWIp0H4D3EpA4CgAYUgBEItiKdB+A9xKQOAkAEgBEI1iKdB+A9xKQOAgAGFhYUgBadB/wFxQQN0KQOA',
  'cCAFQgWIp0H4D3EpA4BghSAFQg2Ip0H4D3EpA4BQIAVCFYinQfgPcSkDgECFhSAFQh2Ip0H4D3EpA4AwIAVCJYinQfgPcSkDgCCFIAVC',
  'LYinQfgPcSkDgBAgBUI1iKdB+A9xKQMAhYWFhSECIABBEGohAAwACwsCQANAIAAgA08NASACQgiIIAKnIAAtAABzQf8BcUEDdCkDAIUh',
  'AiAAQQFqIQAMAAsLIAJCf4ULQgEBfgJAA0AgAFANASACIAEgAEI/h4OFIQIgAEIBhiEAIAFCAYhCACABQgGDfULCnpy83fKVtkmDhSEB',
  'DAALCyACCz4BAX5CgICAgICAgMAAIQICQANAIAFFDQEgAUEBcQRAIAAgAhABIQALIAIgAhABIQIgAUEBdiEBDAALCyAAC6IBAQN/IAIh',
  'AwJAA0AgACABTw0BIAAtAABBA0cEQEJ/DwsDQCAAQQFqIQAgACABTwRAQn8PCyAALQAADQALIABBAWohACABIABrQQVJBEBCfw8LIAAo',
  'AgAhBSAFQQVJBEBCfw8LIAUgASAAa0sEQEJ/DwsgAiAAIAX8CgAAIAIgBWohAiAAIAVqIQAgBEEBaiEEDAALCyACIANrrSAErUIghoQL',
  'IQAgACABQs/W077Sx6vZQn58Qh+JQoeVr6+Ytt6bnn9+CyMAIABCACABEASFQoeVr6+Ytt6bnn9+QuPcypX8zvL1hX98C84DAgF/BX4g',
  'ACABaiECIAFBIE8EQEKHla+vmLbem55/Qs/W077Sx6vZQnwhBELP1tO+0ser2UIhBUIAQoeVr6+Ytt6bnn99IQcDQCAEIAApAwAQBCEE',
  'IAUgACkDCBAEIQUgBiAAKQMQEAQhBiAHIAApAxgQBCEHIABBIGohACACIABrQSBPDQALIARCAYkgBUIHiXwgBkIMiSAHQhKJfHwhAyAD',
  'IAQQBSEDIAMgBRAFIQMgAyAGEAUhAyADIAcQBSEDBULFz9my8eW66ichAwsgAyABrXwhAwJAA0AgAiAAa0EISQ0BIANCACAAKQMAEASF',
  'QhuJQoeVr6+Ytt6bnn9+QuPcypX8zvL1hX98IQMgAEEIaiEADAALCyACIABrQQRPBEAgAyAANQIAQoeVr6+Ytt6bnn9+hUIXiULP1tO+',
  '0ser2UJ+Qvnz3fGZ9pmrFnwhAyAAQQRqIQALAkADQCAAIAJPDQEgAyAAMQAAQsXP2bLx5brqJ36FQguJQoeVr6+Ytt6bnn9+IQMgAEEB',
  'aiEADAALCyADIANCIYiFIQMgA0LP1tO+0ser2UJ+IQMgAyADQh2IhSEDIANC+fPd8Zn2masWfiEDIAMgA0IgiIULOQMBfwF+AX8gACAB',
  'aiECAkADQCAAIAJPDQEgACgCACEEIAMgACAEEAZ8IQMgACAEaiEADAALCyADCw==',
].join('');

interface Exports {
  memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  crc64(pointer: number, length: number, previous: bigint): bigint;
  crc64Before(crc: bigint, length: number): bigint;
  compact(pointer: number, end: number, destination: number): bigint;
  contentSum(pointer: number, length: number): bigint;
}

/** Node has it; the type library without the DOM does not say so. */
interface WebAssemblyApi {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { exports: Exports };
}

const dataStart = 32_768;
const pageSize = 65_536;

/** A run of whole BSON documents, one after the other. */
export interface DocumentRun {
  data: Buffer;
  count: number;
  /** When they were computed on the way. */
  sums?: RunSums;
}

/** {@link crc64} and {@link contentSum} of a run by itself. */
export interface RunSums {
  crc: bigint;
  contentSum: bigint;
}

const exports_ = instantiate();

function instantiate(): Exports {
  const { Module, Instance } = (globalThis as unknown as { WebAssembly: WebAssemblyApi }).WebAssembly;
  const { exports } = new Instance(new Module(Buffer.from(compiled, 'base64')));
  writeCrcTables(new Uint32Array(exports.memory.buffer, 0, 2 * 16 * 256));
  return exports;
}

/**
 * Table k maps a byte to its effect on the CRC after k more zero bytes (slicing by sixteen). Entries are written in halves,
 * the lower first: with BigInts this would be a twentieth of what a process needs to start.
 */
function writeCrcTables(halves: Uint32Array): void {
  for (let byte = 0; byte < 256; byte++) {
    let low = byte;
    let high = 0;
    for (let bit = 0; bit < 8; bit++) {
      const isOdd = (low & 1) === 1;
      low = (low >>> 1) | (high << 31);
      high >>>= 1;
      if (!isOdd) continue;
      low ^= 0xd7870f42;
      high ^= 0xc96c5795;
    }
    halves[2 * byte] = low;
    halves[2 * byte + 1] = high;
  }
  for (let at = 2 * 256; at < halves.length; at += 2) {
    const low = halves[at - 512] ?? 0;
    const high = halves[at - 511] ?? 0;
    const entry = 2 * (low & 255);
    halves[at] = ((low >>> 8) | (high << 24)) ^ (halves[entry] ?? 0);
    halves[at + 1] = (high >>> 8) ^ (halves[entry + 1] ?? 0);
  }
}

/** Copies bytes into the linear memory, which grows to the largest single input (at most a little over one wire message). */
function load(bytes: Uint8Array): void {
  const missing = dataStart + bytes.length - exports_.memory.buffer.byteLength;
  if (missing > 0) exports_.memory.grow(Math.ceil(missing / pageSize));
  new Uint8Array(exports_.memory.buffer, dataStart, bytes.length).set(bytes);
}

const sliceSize = 1 << 20;

/** CRC-64/XZ of `bytes`, continuing from `previous` (0n at the start). */
export function crc64(bytes: Uint8Array, previous = 0n): bigint {
  let crc = previous;
  for (let at = 0; at < bytes.length; at += sliceSize) {
    const slice = bytes.subarray(at, at + sliceSize);
    load(slice);
    crc = exports_.crc64(dataStart, slice.length, crc);
  }
  return BigInt.asUintN(64, crc);
}

/** The CRC-64/XZ of a text and another after it, from those of both and the length of the other. */
export function crc64Joined(crc: bigint, next: bigint, nextLength: number): bigint {
  return BigInt.asUintN(64, exports_.crc64Before(crc, nextLength) ^ next);
}

/**
 * The documents of a BSON array body (the bytes between its length and its final zero), packed, in the same memory: the
 * array is overwritten, so that a batch needs no second piece of memory of its size. Their sums cost least here, where
 * they lie in the linear memory already.
 * @throws Error when the bytes are not an array of documents; they are unchanged then
 */
export function packDocuments(arrayBody: Buffer, { sums = false } = {}): DocumentRun {
  load(arrayBody);
  const packed = exports_.compact(dataStart, dataStart + arrayBody.length, dataStart);
  if (packed === -1n) throw new Error('the server sent a batch that is not an array of documents');
  const length = Number(packed & 0xffffffffn);
  arrayBody.set(new Uint8Array(exports_.memory.buffer, dataStart, length));
  const run = { data: arrayBody.subarray(0, length), count: Number(packed >> 32n) };
  return sums ? { ...run, sums: sumsInMemory(length) } : run;
}

/** Both sums of a run of whole documents whose lengths have been checked. */
export function sumsOf(run: Uint8Array): RunSums {
  load(run);
  return sumsInMemory(run.length);
}

function sumsInMemory(length: number): RunSums {
  return {
    crc: BigInt.asUintN(64, exports_.crc64(dataStart, length, 0n)),
    contentSum: BigInt.asUintN(64, exports_.contentSum(dataStart, length)),
  };
}

/**
 * Sum modulo 2^64 of the XXH64 of each document: equal for equal sets of documents in any order.
 * The run must consist of whole documents whose lengths have been checked.
 */
export function contentSum(run: Uint8Array, previous = 0n): bigint {
  load(run);
  return BigInt.asUintN(64, previous + exports_.contentSum(dataStart, run.length));
}
