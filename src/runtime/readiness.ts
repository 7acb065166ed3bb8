/**
 * Tells when file descriptors that libuv does not know (raw sockets, TUN devices) have something to read.
 *
 * One `poll(2)` waits for all of them on a thread of libuv's pool; an eventfd ends the wait when the set changes. While
 * packets keep coming no thread is involved: each turn of the event loop asks `poll` without waiting and runs the readers.
 *
 * Deliberate limits: takes one of libuv's threads (four by default) while it waits; a descriptor costs one linear scan a turn.
 * Invariants: level-triggered, so a reader may stop early and is called again; at most one waiting poll, whose table stays as
 * long as it waits; after `forget` has resolved no thread holds the descriptor, so that closing it takes effect at once.
 */
import { Arena } from './memory.ts';
import { check, loadSyscalls, type Syscalls, SystemError } from './syscalls.ts';

export class Readiness {
  readonly sys: Syscalls;
  readonly #wake: number;
  readonly #word: Arena;
  readonly #readers = new Map<number, () => void>();
  #table: Arena;
  /** The descriptors in `#table`, in its order; the eventfd is first. */
  #order: readonly number[] = [];
  #changed = true;
  #waiting = false;
  #scheduled = false;
  #closed = false;
  /** Short waits left before a thread of the pool takes over the waiting. */
  #patience = 0;
  #idle: (() => void)[] = [];

  /** Throws SystemError where koffi is missing. */
  constructor() {
    const loaded = loadSyscalls();
    if (!loaded.ok) throw new SystemError(`waiting for packets: ${loaded.why}`, 'ENOSYS', '');
    this.sys = loaded.sys;
    this.#wake = check(this.sys, this.sys.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), 'eventfd');
    this.#word = new Arena(this.sys.koffi, 16);
    this.#word.bytes[0] = 1;
    this.#table = new Arena(this.sys.koffi, POLLFD);
    live.add(this);
    if (live.size === 1) process.on('exit', wakeAll);
  }

  /** Calls `read` whenever `fd` is readable (or broken: the read will say how). It must not block and should stop after a batch. */
  watch(fd: number, read: () => void): void {
    this.#readers.set(fd, read);
    this.#change();
  }

  /** No more calls after this returns; resolves when no thread waits on `fd` either. */
  forget(fd: number): Promise<void> {
    this.#readers.delete(fd);
    this.#change();
    return new Promise((resolve) => {
      if (this.#waiting) this.#idle.push(resolve);
      else resolve();
    });
  }

  /** Ends the wait and lets go of the event loop. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#readers.clear();
    this.wake();
    if (this.#waiting) await new Promise<void>((resolve) => this.#idle.push(resolve));
    live.delete(this);
    if (live.size === 0) process.off('exit', wakeAll);
    this.sys.close(this.#wake);
  }

  /** Ends a waiting poll. A thread that is never woken keeps the process from ending. */
  wake(): void {
    this.sys.write(this.#wake, this.#word.base, 8);
  }

  #change(): void {
    this.#changed = true;
    if (this.#waiting) this.wake();
    else this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#turn();
    });
  }

  #turn(): void {
    if (this.#closed || this.#waiting) return;
    if (this.#changed) this.#layOut();
    if (this.#readers.size === 0) return;
    const count = this.#order.length;
    // While packets flow the next one is waited for here: waking another thread takes longer than most gaps last.
    if (this.sys.poll(this.#table.base, count, this.#patience > 0 ? PATIENT_MILLIS : 0) > 0) {
      this.#patience = PATIENCE;
      this.#schedule();
      this.#dispatch();
      return;
    }
    if (this.#patience > 0) {
      this.#patience -= 1;
      this.#schedule();
      return;
    }
    this.#waiting = true;
    this.sys.pollLater(this.#table.base, count, -1, () => {
      this.#waiting = false;
      this.sys.read(this.#wake, this.#word.base + 8, 8);
      for (const resolve of this.#idle.splice(0)) resolve();
      this.#turn();
    });
  }

  #dispatch(): void {
    for (let i = 1; i < this.#order.length; i++) {
      if (this.#table.view.getInt16(i * POLLFD + 6, true) !== 0) this.#readers.get(this.#order[i]!)?.();
    }
  }

  #layOut(): void {
    this.#changed = false;
    this.#order = [this.#wake, ...this.#readers.keys()];
    this.#table = new Arena(this.sys.koffi, this.#order.length * POLLFD);
    this.#order.forEach((fd, i) => {
      this.#table.view.setInt32(i * POLLFD, fd, true);
      this.#table.view.setInt16(i * POLLFD + 4, POLLIN, true);
    });
  }
}

/** How long the event loop may stand still for a packet, and how often in a row; timers and the API go on in between. */
const PATIENT_MILLIS = 1;
const PATIENCE = 3;

const live = new Set<Readiness>();

function wakeAll(): void {
  for (const readiness of live) readiness.wake();
}

/* struct pollfd: fd (4) | events (2) | revents (2) */
const POLLFD = 8;
const POLLIN = 0x1;
const EFD_NONBLOCK = 0x800;
const EFD_CLOEXEC = 0x80000;
