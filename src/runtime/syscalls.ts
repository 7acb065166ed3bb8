/**
 * System calls, bound through koffi on first use, and errno in words.
 *
 * Every call returns what C returns: -1 with the reason in `errno()`. Pointers are numbers (`memory.ts`).
 * Leaves to others: structures and their constants, which stand where they are used.
 */
import { getSystemErrorMap } from 'node:util';
import { type Koffi, loadKoffi } from './koffi.ts';
import { Arena } from './memory.ts';

export interface Syscalls {
  readonly koffi: Koffi;
  /** For the structure of one call: filled, passed, read, forgotten. Nothing in it outlives the function that used it. */
  readonly scratch: Arena;
  errno(): number;
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: number, length: number): number;
  connect(fd: number, address: number, length: number): number;
  getsockname(fd: number, address: number, length: number): number;
  setsockopt(fd: number, level: number, name: number, value: number, length: number): number;
  getsockopt(fd: number, level: number, name: number, value: number, length: number): number;
  send(fd: number, buf: number, length: number, flags: number): number;
  recv(fd: number, buf: number, length: number, flags: number): number;
  sendmsg(fd: number, message: number, flags: number): number;
  recvmsg(fd: number, message: number, flags: number): number;
  /** Messages sent; -1 only when the first of them was refused. */
  sendmmsg(fd: number, messages: number, count: number, flags: number): number;
  recvmmsg(fd: number, messages: number, count: number, flags: number, timeout: number): number;
  open(path: string, flags: number): number;
  close(fd: number): number;
  read(fd: number, buf: number, length: number): number;
  write(fd: number, buf: number, length: number): number;
  writev(fd: number, vectors: number, count: number): number;
  ioctl(fd: number, request: number, argument: number): number;
  fcntl(fd: number, command: number, argument: number): number;
  eventfd(initial: number, flags: number): number;
  /** `thread` 0: the one that calls. */
  sched_setaffinity(thread: number, size: number, mask: number): number;
  sched_setscheduler(thread: number, policy: number, parameters: number): number;
  nanosleep(time: number, rest: number): number;
  poll(fds: number, count: number, timeoutMillis: number): number;
  /** `poll` on a thread of libuv's pool; `done` gets what it returned. The array of pollfd must stay reachable until then. */
  pollLater(fds: number, count: number, timeoutMillis: number, done: (ready: number) => void): void;
}

export type SyscallsOr = { readonly ok: true; readonly sys: Syscalls } | { readonly ok: false; readonly why: string };

export function loadSyscalls(): SyscallsOr {
  if (bound === undefined) {
    const loaded = loadKoffi();
    bound = loaded.ok ? { ok: true, sys: bindAll(loaded.koffi) } : loaded;
  }
  return bound;
}

/** The same for those who cannot do without: throws SystemError where koffi is missing. */
export function requireSyscalls(): Syscalls {
  const loaded = loadSyscalls();
  if (!loaded.ok) throw new SystemError(loaded.why, 'ENOSYS', '');
  return loaded.sys;
}

/** What the operating system refused, with what the operator can do about it. `code` is `EPERM`, `EADDRINUSE` … */
export class SystemError extends Error {
  override readonly name = 'SystemError';
  readonly code: string;
  readonly advice: string;

  constructor(what: string, code: string, advice: string) {
    super(`${what}: ${errorWords(code)} (${code})${advice === '' ? '' : `. ${advice}`}`);
    this.code = code;
    this.advice = advice;
  }
}

/** `EPERM` for 1; `E4095` for a number libuv does not know. */
export const errorCode = (errno: number): string => getSystemErrorMap().get(-errno)?.[0] ?? `E${errno}`;

/** `operation not permitted` for `EPERM`. */
export function errorWords(code: string): string {
  for (const [name, words] of getSystemErrorMap().values()) if (name === code) return words;
  return 'system error';
}

/** Octets or descriptors, or a SystemError that says what was being done. Never on the packet path. */
export function check(
  sys: Syscalls,
  result: number,
  what: string,
  advice: Readonly<Record<string, string>> = {},
): number {
  if (result >= 0) return result;
  const code = errorCode(sys.errno());
  throw new SystemError(what, code, advice[code] ?? '');
}

/** Sets an integer option; false when the kernel refuses it. */
export function setOption(sys: Syscalls, fd: number, level: number, name: number, value: number): boolean {
  sys.scratch.view.setInt32(0, value, true);
  return sys.setsockopt(fd, level, name, sys.scratch.base, 4) === 0;
}

/** Reads an integer option; undefined when the kernel refuses. */
export function option(sys: Syscalls, fd: number, level: number, name: number): number | undefined {
  const { view, base } = sys.scratch;
  view.setInt32(8, 4, true);
  return sys.getsockopt(fd, level, name, base, base + 8) === 0 ? view.getInt32(0, true) : undefined;
}

export const EINTR = 4;
export const EIO = 5;
export const EAGAIN = 11;
export const EINVAL = 22;
export const EMSGSIZE = 90;
export const ENETDOWN = 100;
export const ENOBUFS = 105;

function bindAll(koffi: Koffi): Syscalls {
  const libc = koffi.load('libc.so.6');
  const bind = (name: string, result: string, ...parameters: string[]) => libc.func(name, result, parameters);
  const poll = bind('poll', 'int', POINTER, 'ulong', 'int');
  return {
    koffi,
    scratch: new Arena(koffi, 4096),
    errno: () => koffi.errno(),
    socket: bind('socket', 'int', 'int', 'int', 'int'),
    bind: bind('bind', 'int', 'int', POINTER, 'uint32'),
    connect: bind('connect', 'int', 'int', POINTER, 'uint32'),
    getsockname: bind('getsockname', 'int', 'int', POINTER, POINTER),
    setsockopt: bind('setsockopt', 'int', 'int', 'int', 'int', POINTER, 'uint32'),
    getsockopt: bind('getsockopt', 'int', 'int', 'int', 'int', POINTER, POINTER),
    send: bind('send', 'long', 'int', POINTER, 'size_t', 'int'),
    recv: bind('recv', 'long', 'int', POINTER, 'size_t', 'int'),
    sendmsg: bind('sendmsg', 'long', 'int', POINTER, 'int'),
    recvmsg: bind('recvmsg', 'long', 'int', POINTER, 'int'),
    sendmmsg: bind('sendmmsg', 'int', 'int', POINTER, 'uint32', 'int'),
    recvmmsg: bind('recvmmsg', 'int', 'int', POINTER, 'uint32', 'int', POINTER),
    open: bind('open', 'int', 'str', 'int'),
    close: bind('close', 'int', 'int'),
    read: bind('read', 'long', 'int', POINTER, 'size_t'),
    write: bind('write', 'long', 'int', POINTER, 'size_t'),
    writev: bind('writev', 'long', 'int', POINTER, 'int'),
    ioctl: bind('ioctl', 'int', 'int', 'ulong', POINTER),
    fcntl: bind('fcntl', 'int', 'int', 'int', 'long'),
    eventfd: bind('eventfd', 'int', 'uint32', 'int'),
    sched_setaffinity: bind('sched_setaffinity', 'int', 'int', 'size_t', POINTER),
    sched_setscheduler: bind('sched_setscheduler', 'int', 'int', 'int', POINTER),
    nanosleep: bind('nanosleep', 'int', POINTER, POINTER),
    poll: poll as unknown as Syscalls['poll'],
    pollLater: (fds, count, timeout, done) => {
      poll.async(fds, count, timeout, (error: unknown, ready: number) => {
        if (error !== null && error !== undefined) throw error;
        done(ready);
      });
    },
  };
}

let bound: SyscallsOr | undefined;

const POINTER = 'uintptr_t';
