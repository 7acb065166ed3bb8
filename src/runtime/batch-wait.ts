/**
 * Waiting without an event loop: a thread that runs batches to completion blocks here until a descriptor has something to
 * read, and another thread can end the wait.
 *
 * Read first: poll(2), eventfd(2). Leaves to others: the main thread, which must not block (`readiness.ts`).
 * Invariant: `wait` allocates nothing.
 */
import { Arena } from './memory.ts';
import { check, type Syscalls } from './syscalls.ts';

/** Descriptors of one thread, waited for together. */
export class PollSet {
  readonly #sys: Syscalls;
  readonly #table: Arena;
  readonly #fds: number[] = [];

  constructor(sys: Syscalls, capacity = 64) {
    this.#sys = sys;
    this.#table = new Arena(sys.koffi, capacity * POLLFD);
  }

  add(fd: number): void {
    const at = this.#fds.length * POLLFD;
    if (at + POLLFD > this.#table.bytes.length) throw new RangeError('more descriptors than this set was made for');
    this.#fds.push(fd);
    this.#table.view.setInt32(at, fd, true);
    this.#table.view.setInt32(at + 4, POLLIN, true);
  }

  remove(fd: number): void {
    const rest = this.#fds.filter((each) => each !== fd);
    this.#fds.length = 0;
    for (const each of rest) this.add(each);
  }

  /**
   * Blocks this thread until something can be read, at most `timeoutMillis` (-1: for good; 0: not at all). Gives the number of
   * descriptors that are readable or broken; 0 after the time, or after a signal.
   */
  wait(timeoutMillis: number): number {
    const ready = this.#sys.poll(this.#table.base, this.#fds.length, timeoutMillis);
    if (ready > 0) return ready;
    for (let i = 0; i < this.#fds.length; i++) this.#table.view.setInt16(i * POLLFD + 6, 0, true);
    return 0;
  }

  /** What the last `wait` said of `fd`. */
  ready(fd: number): boolean {
    const i = this.#fds.indexOf(fd);
    return i >= 0 && this.#table.view.getInt16(i * POLLFD + 6, true) !== 0;
  }
}

/**
 * A descriptor that any thread of the process makes readable. One thread makes it and waits for it; others are told its `fd`
 * and hold a Wakeup on that.
 */
export class Wakeup {
  readonly fd: number;
  readonly #sys: Syscalls;
  readonly #word: Arena;

  constructor(sys: Syscalls, fd?: number) {
    this.#sys = sys;
    this.fd = fd ?? check(sys, sys.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), 'eventfd');
    this.#word = new Arena(sys.koffi, 16);
    this.#word.bytes[0] = 1;
  }

  signal(): void {
    this.#sys.write(this.fd, this.#word.base, 8);
  }

  /** Takes all signals so far: true if there were any. */
  clear(): boolean {
    return this.#sys.read(this.fd, this.#word.base + 8, 8) === 8;
  }

  /** By the thread that made it, when nobody signals any more. */
  close(): void {
    this.#sys.close(this.fd);
  }
}

/* struct pollfd: fd (4) | events (2) | revents (2) */
const POLLFD = 8;
const POLLIN = 0x1;
const EFD_NONBLOCK = 0x800;
const EFD_CLOEXEC = 0x80000;
