/**
 * Waiting without an event loop: a thread that runs batches to completion blocks here until a descriptor has something to
 * read, and another thread can end the wait.
 *
 * Read first: poll(2), eventfd(2), nanosleep(2). Leaves to others: the main thread, which must not block (`readiness.ts`).
 * Invariant: `wait` and `rest` allocate nothing.
 */
import { Arena } from './memory.ts';
import { check, type Syscalls } from './syscalls.ts';

/** Descriptors of one thread, waited for together. */
export class PollSet {
  readonly #sys: Syscalls;
  #table: Arena;
  /** struct timespec: seconds (8) | nanoseconds (8). */
  readonly #time: Arena;
  readonly #fds: number[] = [];

  constructor(sys: Syscalls, capacity = 64) {
    this.#sys = sys;
    this.#table = new Arena(sys.koffi, capacity * POLLFD);
    this.#time = new Arena(sys.koffi, 16);
  }

  add(fd: number): void {
    this.#fds.push(fd);
    const needed = this.#fds.length * POLLFD;
    if (needed > this.#table.bytes.length) this.#table = new Arena(this.#sys.koffi, 2 * needed);
    this.#layOut();
  }

  remove(fd: number): void {
    const at = this.#fds.indexOf(fd);
    if (at >= 0) this.#fds.splice(at, 1);
    this.#layOut();
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

  /** Blocks this thread for less than a second, whatever there is to read; a signal ends it early. */
  rest(micros: number): void {
    this.#time.putWord(8, 1000 * micros);
    this.#sys.nanosleep(this.#time.base, 0);
  }

  /** What the last `wait` said of `fd`. */
  ready(fd: number): boolean {
    const i = this.#fds.indexOf(fd);
    return i >= 0 && this.#table.view.getInt16(i * POLLFD + 6, true) !== 0;
  }

  /**
   * Calls `visit` for each descriptor that the last `wait` found readable or broken. It may add and remove some: those not visited
   * by then are found again by the next `wait`.
   */
  eachReady(visit: (fd: number) => void): void {
    for (let i = 0; i < this.#fds.length; i++)
      if (this.#table.view.getInt16(i * POLLFD + 6, true) !== 0) visit(this.#fds[i]!);
  }

  #layOut(): void {
    const { view } = this.#table;
    for (const [i, fd] of this.#fds.entries()) {
      view.setInt32(i * POLLFD, fd, true);
      view.setInt32(i * POLLFD + 4, POLLIN, true);
    }
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
