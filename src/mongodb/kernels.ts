// The inner loops of dump and restore as WebAssembly: 4 to 8 times the speed of the same in JavaScript.
// The source is kernels.wat; this text is its compiled form.
const compiled = [
  'AGFzbQEAAAABGwRgA39/fgF+YAN/f38BfmACfn4BfmACf38BfgMHBgABAgIDAwUDAQACBykEBm1lbW9yeQIABWNyYzY0AAAHY29t',
  'cGFjdAABCmNvbnRlbnRTdW0ABQrjCAbsAgIBfwJ+IAAgAWohAyACQn+FIQICQANAIAMgAGtBEEkNASACIAApAwCFIQQgACkDCCEF',
  'IASnQf8BcUEDdCkDgPABIARCBYinQfgPcSkDgOABhSAEQg2Ip0H4D3EpA4DQASAEQhWIp0H4D3EpA4DAAYWFIARCHYinQfgPcSkD',
  'gLABIARCJYinQfgPcSkDgKABhSAEQi2Ip0H4D3EpA4CQASAEQjWIp0H4D3EpA4CAAYWFhSAFp0H/AXFBA3QpA4BwIAVCBYinQfgP',
  'cSkDgGCFIAVCDYinQfgPcSkDgFAgBUIViKdB+A9xKQOAQIWFIAVCHYinQfgPcSkDgDAgBUIliKdB+A9xKQOAIIUgBUItiKdB+A9x',
  'KQOAECAFQjWIp0H4D3EpAwCFhYWFIQIgAEEQaiEADAALCwJAA0AgACADTw0BIAJCCIggAqcgAC0AAHNB/wFxQQN0KQMAhSECIABB',
  'AWohAAwACwsgAkJ/hQuiAQEDfyACIQMCQANAIAAgAU8NASAALQAAQQNHBEBCfw8LA0AgAEEBaiEAIAAgAU8EQEJ/DwsgAC0AAA0A',
  'CyAAQQFqIQAgASAAa0EFSQRAQn8PCyAAKAIAIQUgBUEFSQRAQn8PCyAFIAEgAGtLBEBCfw8LIAIgACAF/AoAACACIAVqIQIgACAF',
  'aiEAIARBAWohBAwACwsgAiADa60gBK1CIIaECyEAIAAgAULP1tO+0ser2UJ+fEIfiUKHla+vmLbem55/fgsjACAAQgAgARAChUKH',
  'la+vmLbem55/fkLj3MqV/M7y9YV/fAvOAwIBfwV+IAAgAWohAiABQSBPBEBCh5Wvr5i23puef0LP1tO+0ser2UJ8IQRCz9bTvtLH',
  'q9lCIQVCAEKHla+vmLbem55/fSEHA0AgBCAAKQMAEAIhBCAFIAApAwgQAiEFIAYgACkDEBACIQYgByAAKQMYEAIhByAAQSBqIQAg',
  'AiAAa0EgTw0ACyAEQgGJIAVCB4l8IAZCDIkgB0ISiXx8IQMgAyAEEAMhAyADIAUQAyEDIAMgBhADIQMgAyAHEAMhAwVCxc/ZsvHl',
  'uuonIQMLIAMgAa18IQMCQANAIAIgAGtBCEkNASADQgAgACkDABAChUIbiUKHla+vmLbem55/fkLj3MqV/M7y9YV/fCEDIABBCGoh',
  'AAwACwsgAiAAa0EETwRAIAMgADUCAEKHla+vmLbem55/foVCF4lCz9bTvtLHq9lCfkL5893xmfaZqxZ8IQMgAEEEaiEACwJAA0Ag',
  'ACACTw0BIAMgADEAAELFz9my8eW66id+hUILiUKHla+vmLbem55/fiEDIABBAWohAAwACwsgAyADQiGIhSEDIANCz9bTvtLHq9lC',
  'fiEDIAMgA0IdiIUhAyADQvnz3fGZ9pmrFn4hAyADIANCIIiFCzkDAX8BfgF/IAAgAWohAgJAA0AgACACTw0BIAAoAgAhBCADIAAg',
  'BBAEfCEDIAAgBGohAAwACwsgAws=',
].join('');

interface Exports {
  memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  crc64(pointer: number, length: number, previous: bigint): bigint;
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
}

const exports_ = instantiate();

function instantiate(): Exports {
  const { Module, Instance } = (globalThis as unknown as { WebAssembly: WebAssemblyApi }).WebAssembly;
  const { exports } = new Instance(new Module(Buffer.from(compiled, 'base64')));
  new BigUint64Array(exports.memory.buffer, 0, 16 * 256).set(crcTables());
  return exports;
}

/** Table k maps a byte to its effect on the CRC after k more zero bytes (slicing by sixteen). */
function crcTables(): BigUint64Array {
  const tables = new BigUint64Array(16 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ 0xc96c5795d7870f42n : crc >> 1n;
    tables[byte] = crc;
  }
  for (let index = 256; index < tables.length; index++) {
    const previous = tables[index - 256] ?? 0n;
    tables[index] = (previous >> 8n) ^ (tables[Number(previous & 255n)] ?? 0n);
  }
  return tables;
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

/**
 * The documents of a BSON array body (the bytes between its length and its final zero), packed, in the same memory: the
 * array is overwritten, so that a batch needs no second piece of memory of its size.
 * @throws Error when the bytes are not an array of documents; they are unchanged then
 */
export function packDocuments(arrayBody: Buffer): DocumentRun {
  load(arrayBody);
  const packed = exports_.compact(dataStart, dataStart + arrayBody.length, dataStart);
  if (packed === -1n) throw new Error('the server sent a batch that is not an array of documents');
  const length = Number(packed & 0xffffffffn);
  arrayBody.set(new Uint8Array(exports_.memory.buffer, dataStart, length));
  return { data: arrayBody.subarray(0, length), count: Number(packed >> 32n) };
}

/**
 * Sum modulo 2^64 of the XXH64 of each document: equal for equal sets of documents in any order.
 * The run must consist of whole documents whose lengths have been checked.
 */
export function contentSum(run: Uint8Array, previous = 0n): bigint {
  load(run);
  return BigInt.asUintN(64, previous + exports_.contentSum(dataStart, run.length));
}
