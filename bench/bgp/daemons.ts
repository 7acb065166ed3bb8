/**
 * The BGP daemons that are compared, each with the least configuration that passes every route on: two passive external peers, no policy
 * but what lets all pass, no routes in the kernel.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../support.ts';
import { OUR_AS, RECEIVER_AS, SENDER_AS } from './feeds.ts';

export interface Places {
  readonly daemon: string;
  readonly sender: string;
  readonly receiver: string;
}

export interface Daemon {
  readonly name: string;
  readonly needs: string;
  readonly port: number;
  /** Command and arguments, after its files were written to `folder`. */
  readonly command: (folder: string, at: Places) => readonly string[];
}

const PORT = 179;

export const DAEMONS: readonly Daemon[] = [
  { name: 'Bulkhead', needs: process.execPath, port: PORT, command: bulkhead },
  { name: 'BIRD', needs: '/usr/sbin/bird', port: PORT, command: bird },
  { name: 'FRR', needs: '/usr/lib/frr/bgpd', port: PORT, command: frr },
  { name: 'GoBGP', needs: '/usr/bin/gobgpd', port: PORT, command: gobgp },
  { name: 'OpenBGPD', needs: '/usr/sbin/bgpd', port: PORT, command: openbgpd },
];

export const isInstalled = (daemon: Daemon): boolean => existsSync(daemon.needs);

function bulkhead(_folder: string, at: Places): readonly string[] {
  const program = join(ROOT, 'bench/.build/bench/bgp/speaker.js');
  const peers = [`sender=${at.sender}=${SENDER_AS}`, `receiver=${at.receiver}=${RECEIVER_AS}`];
  return [process.execPath, program, at.daemon, String(PORT), ...peers];
}

function bird(folder: string, at: Places): readonly string[] {
  const peer = (name: string, address: string, asn: number): string =>
    `protocol bgp ${name} { local ${at.daemon} as ${OUR_AS}; neighbor ${address} as ${asn}; passive yes;
       ipv4 { import all; export all; }; }`;
  const text = `router id ${at.daemon};
    protocol device {}
    ${peer('sender', at.sender, SENDER_AS)}
    ${peer('receiver', at.receiver, RECEIVER_AS)}\n`;
  const file = written(folder, 'bird.conf', text);
  return ['/usr/sbin/bird', '-f', '-c', file, '-s', join(folder, 'bird.ctl'), '-P', join(folder, 'bird.pid')];
}

/** Without zebra, which would only be in its way: next hops count as reachable. */
function frr(folder: string, at: Places): readonly string[] {
  const peer = (address: string, asn: number): string =>
    ` neighbor ${address} remote-as ${asn}\n neighbor ${address} passive\n neighbor ${address} disable-connected-check\n`;
  const text = `router bgp ${OUR_AS}
 bgp router-id ${at.daemon}
 no bgp ebgp-requires-policy
${peer(at.sender, SENDER_AS)}${peer(at.receiver, RECEIVER_AS)}`;
  const file = written(folder, 'bgpd.conf', text);
  const files = ['-f', file, '-i', join(folder, 'bgpd.pid'), '-z', join(folder, 'zserv.api'), '--vty_socket', folder];
  return ['/usr/lib/frr/bgpd', '-S', '-n', '-Z', '-l', at.daemon, ...files];
}

function gobgp(folder: string, at: Places): readonly string[] {
  const peer = (address: string, asn: number): string => `[[neighbors]]
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
${peer(at.sender, SENDER_AS)}${peer(at.receiver, RECEIVER_AS)}`;
  const file = written(folder, 'gobgp.toml', text);
  return ['/usr/bin/gobgpd', '-f', file, '--api-hosts', '127.0.0.1:50051', '-l', 'error'];
}

/** Its control socket is in /run: it has a mount namespace of its own. */
function openbgpd(folder: string, at: Places): readonly string[] {
  const peer = (address: string, asn: number): string => `neighbor ${address} {\n remote-as ${asn}\n passive\n}\n`;
  const text = `AS ${OUR_AS}
router-id ${at.daemon}
listen on ${at.daemon}
fib-update no
${peer(at.sender, SENDER_AS)}${peer(at.receiver, RECEIVER_AS)}
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
