/**
 * Moves the test's own process into a fresh network namespace with nothing but loopback. It ends with the process.
 *
 * Limit: only the calling thread moves, which is the one that opens sockets and starts processes. Once per test file.
 */
import { networkInterfaces } from 'node:os';
import { Netlink } from '../../src/runtime/netlink.ts';
import { loadSyscalls } from '../../src/runtime/syscalls.ts';

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

const CLONE_NEWNET = 0x4000_0000;
const LOOPBACK_INDEX = 1;
