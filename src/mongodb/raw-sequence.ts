// Documents for a command as the bytes they are, sent from where they lie. The driver has no public way for that, but the
// class with which it builds its own batches takes serialized documents. By itself it puts a batch together three times
// before it goes out; here the pieces go to the socket as they are. What is missing or changed is noticed at the start.
import type { Socket } from 'node:net';
// @ts-expect-error: not described by types
import * as commands from 'mongodb/lib/cmap/commands.js';
// @ts-expect-error: not described by types
import * as connections from 'mongodb/lib/cmap/connection.js';

interface DriverSequence {
  push(document: object, bytes: Uint8Array): number;
  toBin(): Uint8Array;
  chunks: Uint8Array[];
}

/** A command as the driver is about to send it. */
interface Message {
  command?: Record<string, unknown>;
  toBin(): Uint8Array[];
}

interface DriverConnection {
  socket: Socket;
  writeCommand: (
    this: DriverConnection,
    message: Message,
    options: { agreedCompressor?: string },
  ) => Promise<void>;
}

const { DocumentSequence } = commands as {
  DocumentSequence?: new (field: string) => DriverSequence;
};
const { Connection } = connections as {
  Connection?: { prototype: DriverConnection };
};
if (
  typeof DocumentSequence?.prototype.push !== 'function' ||
  typeof DocumentSequence.prototype.toBin !== 'function' ||
  typeof Connection?.prototype.writeCommand !== 'function'
) {
  throw new Error(
    'this version of the mongodb driver cannot send documents as they are; slipway is built for 7.9.0',
  );
}

/** The documents of one command, under the name of its field. The bytes must not change until the command has its answer. */
export class RawSequence extends DocumentSequence {
  /** While the driver puts the message together, which is then without its documents. */
  isApart = false;

  /** Takes one document or several, one after the other. */
  add(documents: Uint8Array): void {
    this.push({}, documents);
  }

  override toBin(): Uint8Array {
    return this.isApart ? Buffer.alloc(0) : super.toBin();
  }
}

/** So much of the end is left to the driver, which waits for it to be written, or for the connection's end. */
const tailBytes = 1024;

/** The message in the pieces that it consists of; undefined when it has no raw documents. */
function piecesOf(message: Message): Uint8Array[] | undefined {
  const sequence = Object.values(message.command ?? {}).find((value) => value instanceof RawSequence);
  if (!sequence) return undefined;
  sequence.isApart = true;
  const parts = message.toBin();
  sequence.isApart = false;
  const pieces = [...parts, ...sequence.chunks];
  const header = parts[0] as Buffer;
  header.writeInt32LE(pieces.reduce((sum, { length }) => sum + length, 0));
  return pieces;
}

const { writeCommand } = Connection.prototype;

Connection.prototype.writeCommand = function writePieces(message, options): Promise<void> {
  // What is compressed has to be in one piece.
  const pieces = (options.agreedCompressor ?? 'none') === 'none' ? piecesOf(message) : undefined;
  if (!pieces) return writeCommand.call(this, message, options);
  const last = pieces.pop() as Uint8Array;
  const cut = Math.max(0, last.length - tailBytes);
  this.socket.cork();
  for (const piece of [...pieces, last.subarray(0, cut)]) if (piece.length > 0) this.socket.write(piece);
  this.socket.uncork();
  return writeCommand.call(this, { toBin: () => [last.subarray(cut)] }, options);
};
