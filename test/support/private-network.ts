/**
 * The test's own process in another network namespace: for good, in a fresh one with nothing but loopback, or for a moment.
 *
 * Limit: only the calling thread moves, which is the one that opens sockets and starts processes.
 */
import { networkInterfaces } from 'node:os';
import { Netlink } from '../../src/runtime/netlink.ts';
import { check, loadSyscalls, requireSyscalls } from '../../src/runtime/syscalls.ts';

/** Runs `act`, which must not wait, in the namespace of that name: sockets and devices that it opens stay there. */
export function within<T>(namespace: string, act: () => T): T {
  const sys = requireSyscalls();
  const setns = sys.koffi.load('libc.so.6').func('setns', 'int', ['int', 'int']);
  const open = (path: string): number => check(sys, sys.open(path, O_CLOEXEC), path);
  const [home, there] = [open('/proc/thread-self/ns/net'), open(`/run/netns/${namespace}`)];
  try {
    check(sys, setns(there, CLONE_NEWNET), namespace);
    return act();
  } finally {
    check(sys, setns(home, CLONE_NEWNET), 'the way back');
    for (const fd of [home, there]) sys.close(fd);
  }
}

/** Once per test file. The namespace ends with the process. */
export function enterPrivateNetwork(): void {
  const loaded = loadSyscalls();
  if (!loaded.ok) throw new Error(loaded.why);
  const unshare = loaded.sys.koffi.load('libc.so.6').func('unshare', 'int', ['int']);
  if (unshare(CLONE_NEWNET) !== 0) throw new Error(`unshare: errno ${loaded.sys.errno()}`);
  const netlink = new Netlink(loaded.sys);
  netlink.bringUp('lo', LOOPBACK_INDEX, 65536);
  netlink.close();
  const names = Object.keys(networkInterfaces());
  if (names.join() !== 'lo') throw new Error(`a private network has only lo, this one ${names.join(', ')}`);
}

const O_CLOEXEC = 0x80000;
const CLONE_NEWNET = 0x4000_0000;
const LOOPBACK_INDEX = 1;
