// Goes through oplog entries in the order in which they took effect: transactions when they commit, and nothing but what
// lies after one moment and at or before another.
import { compareMoments, type Moment } from '../../domain/point-in-time/moment.ts';
import { documentsOf } from '../bson/raw.ts';
import { entryTime, splitNamespace } from '../dump/oplog.ts';
import { commandName, type Operation, operationOf, Transactions } from './apply.ts';
import { withoutEffect } from './replay.ts';

export interface CourseHandlers {
  /** An insert, update or delete. */
  write(operation: Operation): Promise<void> | void;
  /** Something that happened to a collection, its indexes or a database. */
  command(name: string, db: string, o: Buffer): Promise<void> | void;
}

export class Course {
  readonly #after: Moment;
  readonly #until: Moment;
  readonly #handlers: CourseHandlers;
  readonly #transactions = new Transactions();
  /** Entries that took effect, and the time of the last of them. */
  entries = 0;
  last: Moment | null = null;

  constructor(after: Moment, until: Moment, handlers: CourseHandlers) {
    this.#after = after;
    this.#until = until;
    this.#handlers = handlers;
  }

  /**
   * Takes a run of entries, in their order.
   * @throws OplogReplayError when a transaction is not all there, and what the handlers throw
   */
  async take(run: Buffer): Promise<void> {
    for (const raw of documentsOf(run)) {
      const time = entryTime(raw);
      if (compareMoments(time, this.#until) > 0) return;
      if (compareMoments(time, this.#after) <= 0) {
        this.#before(raw);
        continue;
      }
      this.entries++;
      this.last = time;
      await this.#entry(raw);
    }
  }

  /** What the base shows already; but a transaction that commits later may have begun here. */
  #before(raw: Buffer): void {
    const { op, o } = operationOf(raw);
    if (op !== 'c') return;
    const command = commandName(o);
    if (command === 'applyOps') this.#transactions.remember(raw, o);
    else if (command === 'commitTransaction' || command === 'abortTransaction')
      this.#transactions.forget(raw);
  }

  async #entry(raw: Buffer): Promise<void> {
    const operation = operationOf(raw);
    if (operation.op === 'i' || operation.op === 'u' || operation.op === 'd')
      await this.#handlers.write(operation);
    else if (operation.op === 'c') await this.#command(raw, operation);
  }

  async #command(raw: Buffer, { ns, o }: Operation): Promise<void> {
    const command = commandName(o);
    if (command === 'applyOps') await this.#all(this.#transactions.take(raw, o));
    else if (command === 'commitTransaction') await this.#all(this.#transactions.commit(raw));
    else if (command === 'abortTransaction') this.#transactions.forget(raw);
    else if (!withoutEffect.has(command)) await this.#handlers.command(command, splitNamespace(ns)[0], o);
  }

  async #all(operations: Buffer[]): Promise<void> {
    for (const operation of operations) await this.#entry(operation);
  }
}
