/**
 * The BGP daemons that are compared, each with the least configuration that passes every route on: passive external peers, no policy but
 * what lets all pass, no routes in the kernel.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../support.ts';
import { OUR_AS } from './feeds.ts';

export interface BenchPeer {
  readonly name: string;
  readonly address: string;
  readonly asn: number;
}

export interface Places {
  readonly daemon: string;
  readonly peers: readonly BenchPeer[];
}

export interface Daemon {
  readonly name: string;
  readonly needs: string;
  readonly port: number;
  /** Flag that tells the version; none for ours, which the facts of the machine have. */
  readonly version?: string;
  /** Command and arguments, after its files were written to `folder`. */
  readonly command: (folder: string, at: Places) => readonly string[];
}

const PORT = 179;

export const DAEMONS: readonly Daemon[] = [
  { name: 'Bulkhead', needs: process.execPath, port: PORT, command: bulkhead },
  { name: 'BIRD', needs: '/usr/sbin/bird', port: PORT, version: '--version', command: bird },
  { name: 'FRR', needs: '/usr/lib/frr/bgpd', port: PORT, version: '--version', command: frr },
  { name: 'GoBGP', needs: '/usr/bin/gobgpd', port: PORT, version: '--version', command: gobgp },
  { name: 'OpenBGPD', needs: '/usr/sbin/bgpd', port: PORT, version: '-V', command: openbgpd },
];

export const isInstalled = (daemon: Daemon): boolean => existsSync(daemon.needs);

/** The first number of what it says. */
export function versionOf({ needs, version }: Daemon): string {
  if (version === undefined) return '';
  const { stdout, stderr } = spawnSync(needs, [version], { encoding: 'utf8' });
  return `${stdout}${stderr}`.match(/\d+(?:\.\d+)+/)?.[0] ?? 'of unknown version';
}

function bulkhead(_folder: string, at: Places): readonly string[] {
  const program = join(ROOT, 'bench/.build/bench/bgp/speaker.js');
  const peers = at.peers.map(({ name, address, asn }) => `${name}=${address}=${asn}`);
  return [process.execPath, program, at.daemon, String(PORT), ...peers];
}

function bird(folder: string, at: Places): readonly string[] {
  const peer = ({ name, address, asn }: BenchPeer): string =>
    `protocol bgp ${name} { local ${at.daemon} as ${OUR_AS}; neighbor ${address} as ${asn}; passive yes;
       ipv4 { import all; export all; }; }`;
  const text = `router id ${at.daemon};
    protocol device {}
    ${at.peers.map(peer).join('\n    ')}\n`;
  const file = written(folder, 'bird.conf', text);
  return ['/usr/sbin/bird', '-f', '-c', file, '-s', join(folder, 'bird.ctl'), '-P', join(folder, 'bird.pid')];
}

/** Without zebra, which would only be in its way: next hops count as reachable. */
function frr(folder: string, at: Places): readonly string[] {
  const peer = ({ address, asn }: BenchPeer): string =>
    ` neighbor ${address} remote-as ${asn}\n neighbor ${address} passive\n neighbor ${address} disable-connected-check\n`;
  const text = `router bgp ${OUR_AS}
 bgp router-id ${at.daemon}
 no bgp ebgp-requires-policy
${at.peers.map(peer).join('')}`;
  const file = written(folder, 'bgpd.conf', text);
  const files = ['-f', file, '-i', join(folder, 'bgpd.pid'), '-z', join(folder, 'zserv.api'), '--vty_socket', folder];
  return ['/usr/lib/frr/bgpd', '-S', '-n', '-Z', '-l', at.daemon, ...files];
}

function gobgp(folder: string, at: Places): readonly string[] {
  const peer = ({ address, asn }: BenchPeer): string => `[[neighbors]]
  [neighbors.config]
    neighbor-address = "${address}"
    peer-as = ${asn}
  [neighbors.transport.config]
    passive-mode = true\n`;
  const text = `[global.config]
  as = ${OUR_AS}
  router-id = "${at.daemon}"
  port = ${PORT}
  local-address-list = ["${at.daemon}"]
${at.peers.map(peer).join('')}`;
  const file = written(folder, 'gobgp.toml', text);
  return ['/usr/bin/gobgpd', '-f', file, '--api-hosts', '127.0.0.1:50051', '-l', 'error'];
}

/** Its control socket is in /run: it has a mount namespace of its own. */
function openbgpd(folder: string, at: Places): readonly string[] {
  const peer = ({ address, asn }: BenchPeer): string => `neighbor ${address} {\n remote-as ${asn}\n passive\n}\n`;
  const text = `AS ${OUR_AS}
router-id ${at.daemon}
listen on ${at.daemon}
fib-update no
${at.peers.map(peer).join('')}
allow from any
allow to any\n`;
  const file = written(folder, 'bgpd.conf', text);
  const script = `mount -t tmpfs tmpfs /run && mkdir -p /run/openbgpd && exec /usr/sbin/bgpd -d -f ${file}`;
  return ['unshare', '-m', 'sh', '-c', script];
}

/** Daemons that give up root must be able to read it; OpenBGPD wants it closed to others. */
function written(folder: string, name: string, text: string): string {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, name);
  writeFileSync(file, text, { mode: 0o640 });
  return file;
}
