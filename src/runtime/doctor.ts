/**
 * Looks at the host and says what is missing and what it costs. Changes nothing; opens and closes a few sockets.
 *
 * Leaves to others: the document (`config check`), and showing the table.
 */
import { existsSync, readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { chooseEngine } from '../crypto/index.ts';
import type { Address } from '../ip/index.ts';
import { formatAddress, PacketPool } from '../ip/index.ts';
import { engineCandidates, SWITCHED_OFF } from './engines/index.ts';
import { loadKoffi } from './koffi.ts';
import { probePacketSocket } from './packet-socket.ts';
import { openRaw } from './raw.ts';
import { Readiness } from './readiness.ts';
import type { RawCarrier } from './socket.ts';
import { loadSums } from './sums.ts';
import { loadSyscalls, SystemError } from './syscalls.ts';
import { makesTap } from './tun.ts';
import { openUdp } from './udp.ts';

export interface DoctorCheck {
  readonly name: string;
  readonly level: 'ok' | 'warning' | 'error';
  /** What is so. */
  readonly found: string;
  /** What does not work, or works worse; empty when all is well. */
  readonly cost: string;
  /** What to do; empty when all is well. */
  readonly advice: string;
}

export interface DoctorOptions {
  /** Where the gateway would listen. Default: every address of the host. */
  readonly addresses?: readonly Address[];
  readonly ports?: { readonly ike: number; readonly natt: number };
}

/** All checks, in the order in which they matter. */
export async function doctor(options: DoctorOptions = {}): Promise<readonly DoctorCheck[]> {
  const addresses = options.addresses ?? [ANY];
  const ports = options.ports ?? { ike: 500, natt: 4500 };
  const checks = [platform(), node(), koffi(), ...engines(), sums(), rights(), tun(), tap(), packetSockets()];
  for (const address of addresses) {
    checks.push(await port(address, ports.ike, 'no peer can reach this gateway with IKE'));
    checks.push(await port(address, ports.natt, 'no tunnel through NAT, none with UDP encapsulation'));
    checks.push(await rawSocket('ip-50', address), await rawSocket('ip-47', address));
  }
  return [...checks, buffers(), threads(), clock(), memory()];
}

function platform(): DoctorCheck {
  const found = `${process.platform} ${process.arch}`;
  if (process.platform === 'linux') return ok('platform', found);
  return warn(
    'platform',
    found,
    'no TUN devices, no raw ESP: lab, library and decoder only',
    'run the gateway on Linux',
  );
}

function node(): DoctorCheck {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const found = `Node ${process.versions.node}`;
  if (major > 20 || (major === 20 && minor >= 19)) return ok('node', found);
  return fail('node', found, 'untested; may not start', 'install Node 20.19 or newer');
}

function koffi(): DoctorCheck {
  const loaded = loadKoffi();
  const version = loaded.ok ? (loaded.koffi as { version?: string }).version : undefined;
  if (loaded.ok) return ok('koffi', `koffi ${version ?? 'loaded'}`);
  return warn(
    'koffi',
    loaded.why,
    'no TUN devices, no raw ESP; UDP several times slower, without DF and ECN',
    'npm install koffi (it is an optional dependency), on 64-bit Linux',
  );
}

/** One line for each rung of the ladder: what it is used for, or what its absence costs. */
function engines(): DoctorCheck[] {
  const { tried } = chooseEngine(engineCandidates(), true);
  return tried.map(({ name, ok: right, why, suites, serves }) => {
    const title = `crypto ${name}`;
    if (right) {
      const use = serves === 0 ? 'in reserve' : serves === suites ? 'chosen' : `chosen for ${serves} of them`;
      return ok(title, `knows its known answers for ${suites} suites; ${use}`);
    }
    const { cost, advice } = ENGINE_ADVICE[name] ?? NO_ADVICE;
    if (why === SWITCHED_OFF) return warn(title, why, cost, 'unset BULKHEAD_WITHOUT_ENGINES, or name others in it');
    if (!loadKoffi().ok) return warn(title, why, cost, 'see koffi above');
    return suites === 0 ? warn(title, why, cost, advice) : fail(title, why, cost, advice);
  });
}

function sums(): DoctorCheck {
  const loaded = loadSums(0);
  if (loaded.ok) return ok('checksums', 'WebAssembly SIMD gives the right sums');
  return warn(
    'checksums',
    loaded.why,
    'summing and copying packets costs several times the processor time',
    'npm run build; run with a Node that has WebAssembly with SIMD',
  );
}

function rights(): DoctorCheck {
  const mask = capabilities();
  if (mask === undefined) return warn('rights', 'unknown', 'cannot tell whether devices and ports can be opened', '');
  const missing = CAPABILITIES.filter(({ bit }) => ((mask >> BigInt(bit)) & 1n) === 0n);
  if (missing.length === 0) return ok('rights', CAPABILITIES.map((c) => c.name).join(', '));
  return warn(
    'rights',
    `missing ${missing.map((c) => c.name).join(', ')}`,
    missing.map((c) => c.cost).join('; '),
    'start as root, or under systemd with AmbientCapabilities=, or in a container with --cap-add',
  );
}

/** Effective capabilities as a bit mask; undefined where /proc does not say. */
function capabilities(): bigint | undefined {
  const line = read('/proc/self/status')?.match(/^CapEff:\s*([0-9a-f]+)$/m);
  return line === null || line === undefined ? undefined : BigInt(`0x${line[1]}`);
}

function tun(): DoctorCheck {
  const cost = 'no interfaces with `driver: tun`';
  if (!existsSync('/dev/net/tun'))
    return fail('tun', 'no /dev/net/tun', cost, 'modprobe tun; in a container --device /dev/net/tun');
  const loaded = loadSyscalls();
  if (!loaded.ok) return warn('tun', '/dev/net/tun is there, but not usable', cost, loaded.why);
  const fd = loaded.sys.open('/dev/net/tun', O_RDWR | O_CLOEXEC);
  if (fd < 0)
    return fail('tun', '/dev/net/tun does not open', cost, 'start as root or with CAP_NET_ADMIN; modprobe tun');
  loaded.sys.close(fd);
  return ok('tun', '/dev/net/tun opens');
}

/** Of the driver that makes TUN devices; whether there are rights to make one, `rights` says. */
function tap(): DoctorCheck {
  const cost = 'no interfaces and no machines with `driver: tap`';
  const loaded = loadSyscalls();
  if (!loaded.ok) return warn('tap', 'cannot be asked for', cost, loaded.why);
  const made = makesTap(loaded.sys);
  if (made) return ok('tap', 'the TUN driver makes TAP devices');
  return warn(
    'tap',
    'the TUN driver makes no TAP devices',
    cost,
    'see tun above; `driver: packet` on one end of a veth pair',
  );
}

function packetSockets(): DoctorCheck {
  const cost = 'no `driver: packet`: NAT and direct routing by way of the host only, with `driver: tun`';
  const loaded = loadSyscalls();
  if (!loaded.ok) return warn('packet', 'no packet sockets', cost, loaded.why);
  try {
    const { vnetHeader } = probePacketSocket(loaded.sys);
    if (vnetHeader.used) return ok('packet', 'packet sockets open, with superframes');
    const slow = 'frames pass one by one, many times slower; superframes of the NIC are lost';
    return warn('packet', vnetHeader.why, slow, 'ethtool -K DEVICE gro off; run a newer kernel');
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return warn('packet', error.code, cost, error.advice);
  }
}

async function port(address: Address, number: number, cost: string): Promise<DoctorCheck> {
  const name = `udp ${formatAddress(address)}:${number}`;
  try {
    const socket = await openUdp({ local: { address, port: number }, pool: new PacketPool(1), receive: () => {} });
    await socket.close();
    return ok(name, 'free');
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return fail(name, error.code, cost, error.advice);
  }
}

async function rawSocket(protocol: RawCarrier, address: Address): Promise<DoctorCheck> {
  const name = `${protocol} ${formatAddress(address)}`;
  const cost = RAW_COST[protocol];
  const loaded = loadSyscalls();
  if (!loaded.ok) return warn(name, 'no raw sockets', cost, loaded.why);
  const readiness = new Readiness();
  try {
    await openRaw({ protocol, local: address, pool: new PacketPool(1), readiness, receive: () => {} }).close();
    return ok(name, 'opens');
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return warn(name, error.code, cost, error.advice);
  } finally {
    await readiness.close();
  }
}

function buffers(): DoctorCheck {
  const limit = Number(read('/proc/sys/net/core/rmem_max')?.trim());
  const admin = ((capabilities() ?? 0n) >> 12n) & 1n;
  const found = Number.isFinite(limit) ? `net.core.rmem_max ${limit}` : 'unknown';
  if (admin === 1n || limit >= WANTED_BUFFER) return ok('socket buffers', found);
  return warn(
    'socket buffers',
    found,
    'packets are lost in bursts',
    `sysctl -w net.core.rmem_max=${WANTED_BUFFER} net.core.wmem_max=${WANTED_BUFFER}`,
  );
}

/** Waiting for packets holds one thread of libuv's pool (`readiness.ts`). */
function threads(): DoctorCheck {
  const size = Number(process.env.UV_THREADPOOL_SIZE ?? 4);
  if (!(size < 2)) return ok('threads', `thread pool of ${size}`);
  return warn('threads', `UV_THREADPOOL_SIZE=${size}`, 'files and packets wait for each other', 'set it to 2 or more');
}

function clock(): DoctorCheck {
  const source = read('/sys/devices/system/clocksource/clocksource0/current_clocksource')?.trim();
  if (source === undefined) return ok('clock', 'unknown source');
  if (FAST_CLOCKS.has(source)) return ok('clock', source);
  return warn('clock', source, 'reading the time is a slow system call for every batch', 'boot with clocksource=tsc');
}

function memory(): DoctorCheck {
  const host = totalmem();
  const limit = Number(read('/sys/fs/cgroup/memory.max')?.trim());
  const octets = Number.isFinite(limit) && limit > 0 ? Math.min(host, limit) : host;
  const found = `${Math.round(octets / 1048576)} MiB`;
  if (octets >= WANTED_MEMORY) return ok('memory', found);
  return warn('memory', found, 'the kernel may end the process under load', 'give it 256 MiB or more');
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

const ok = (name: string, found: string): DoctorCheck => ({ name, level: 'ok', found, cost: '', advice: '' });
const warn = (name: string, found: string, cost: string, advice: string): DoctorCheck => ({
  name,
  level: 'warning',
  found,
  cost,
  advice,
});
const fail = (name: string, found: string, cost: string, advice: string): DoctorCheck => ({
  name,
  level: 'error',
  found,
  cost,
  advice,
});

/** `bench/crypto.ts` measures what an engine costs. */
const ENGINE_ADVICE: Readonly<Record<string, Pick<DoctorCheck, 'cost' | 'advice'>>> = {
  'ipsec-mb': {
    cost: 'ESP several times more expensive in processor time',
    advice: 'on x86-64 Debian 12: apt-get install libipsec-mb1',
  },
  openssl: {
    cost: 'suites that ipsec-mb lacks, all of them without it, several times more expensive in processor time',
    advice: 'run with a node binary that has its own OpenSSL, such as that of nodejs.org',
  },
};
const NO_ADVICE = { cost: 'suites fall to a slower engine', advice: 'run with another build of Node' };

const RAW_COST: Readonly<Record<RawCarrier, string>> = {
  'ip-50': 'ESP only in UDP: set `encapsulation: udp`, and peers must accept it',
  'ip-47': 'NVGRE only in UDP: set `encapsulation: nvgre-udp`, and other hosts must, too',
};
const ANY: Address = Uint8Array.of(0, 0, 0, 0);
const CAPABILITIES = [
  { name: 'CAP_NET_ADMIN', bit: 12, cost: 'no TUN and TAP devices, no host routes' },
  { name: 'CAP_NET_RAW', bit: 13, cost: 'no raw ESP, no raw GRE, no packet sockets' },
  { name: 'CAP_NET_BIND_SERVICE', bit: 10, cost: 'no port 500' },
  { name: 'CAP_SYS_NICE', bit: 23, cost: 'threads that pass packets wait behind other programs' },
] as const;
const WANTED_BUFFER = 4 << 20;
const WANTED_MEMORY = 256 << 20;
const FAST_CLOCKS: ReadonlySet<string> = new Set([
  'tsc',
  'kvm-clock',
  'arch_sys_counter',
  'riscv_clocksource',
  'hyperv_clocksource_tsc_page',
]);
const O_RDWR = 0x2;
const O_CLOEXEC = 0x80000;
