/**
 * What a test needs of the machine beyond Node, and what happens where it is missing: the suite is skipped and says why,
 * except with BULKHEAD_REQUIRE_PEERS=1, where it fails.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe } from 'vitest';
import { loadSyscalls } from '../../src/runtime/syscalls.ts';

/** The interpreter that Debian's packages are for. */
export const PYTHON = '/usr/bin/python3';

export type Need = keyof typeof CHECKS;

/** `requirePeers('strongswan', 'tshark')('title', () => …)`: `describe`, or `describe.skip` with the reason on stderr. */
export function requirePeers(...needs: readonly Need[]): typeof describe | typeof describe.skip {
  const reasons = missingPeers(...needs);
  if (reasons.length === 0) return describe;
  if (process.env.BULKHEAD_REQUIRE_PEERS === '1')
    throw new Error(`BULKHEAD_REQUIRE_PEERS=1, but ${reasons.join('; ')}`);
  process.stderr.write(`skipped: ${reasons.join('; ')}\n`);
  return describe.skip;
}

/** A sentence for everything missing. */
export function missingPeers(...needs: readonly Need[]): readonly string[] {
  return needs.flatMap((need) => {
    answers[need] ??= { reason: CHECKS[need]() };
    const { reason } = answers[need];
    return reason === undefined ? [] : [`${need}: ${reason}`];
  });
}

const answers: Partial<Record<Need, { readonly reason: string | undefined }>> = {};

const CHECKS = {
  linux: () => (process.platform === 'linux' ? undefined : `this is ${process.platform}`),
  root: () => (process.getuid?.() === 0 ? undefined : 'not root'),
  koffi: () => {
    const loaded = loadSyscalls();
    return loaded.ok ? undefined : loaded.why;
  },
  tun: () => usable('/dev/net/tun'),
  /** Network namespaces can be made. */
  netns: () => {
    const tried = spawnSync('unshare', ['--net', 'true'], { encoding: 'utf8' });
    return tried.status === 0
      ? program('ip')
      : `no network namespaces (${tried.error?.message ?? tried.stderr.trim()})`;
  },
  strongswan: () =>
    usable('/usr/lib/ipsec/charon') ?? program('swanctl') ?? plugin('kernel-libipsec') ?? plugin('curve25519'),
  frr: () => usable('/usr/lib/frr/zebra') ?? usable('/usr/lib/frr/bgpd') ?? program('vtysh'),
  bird: () => program('bird') ?? program('birdc'),
  gobgp: () => program('gobgpd') ?? program('gobgp'),
  exabgp: () => program('exabgp'),
  openbgpd: () => program('bgpd') ?? program('bgpctl'),
  openvswitch: () =>
    program('ovs-vswitchd') ?? program('ovsdb-server') ?? usable('/usr/share/openvswitch/vswitch.ovsschema'),
  python: () => usable(PYTHON),
  scapy: () => usable('/usr/lib/python3/dist-packages/scapy/all.py') ?? usable(PYTHON),
  tshark: () => program('tshark'),
  tcpdump: () => program('tcpdump'),
  iperf3: () => program('iperf3'),
  nft: () => program('nft'),
  ethtool: () => program('ethtool'),
  ping: () => program('ping'),
  curl: () => program('curl'),
  dig: () => program('dig'),
  traceroute: () => program('traceroute'),
  cc: () => program('cc'),
  openssl: () => program('openssl'),
  openvpn: () => program('openvpn'),
  wg: () => program('wg'),
} satisfies Record<string, () => string | undefined>;

function program(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.some((folder) => folder !== '' && existsSync(join(folder, name)))
    ? undefined
    : `${name} is not installed`;
}

function usable(file: string): string | undefined {
  try {
    accessSync(file, constants.R_OK);
    return undefined;
  } catch {
    return `no ${file}`;
  }
}

const plugin = (name: string): string | undefined =>
  usable(`/usr/lib/ipsec/plugins/libstrongswan-${name}.so`) && `strongSwan has no plugin ${name}`;
