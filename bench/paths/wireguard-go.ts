/**
 * WireGuard in userland: the wireguard-go of the distribution, and another that the environment names.
 *
 * Since 0.0.20230223 wireguard-go takes superframes from the device and to the socket; Debian 12 has one of 2022. The two kinds
 * are told apart by the version they tell, for the targets differ.
 */
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ADDRESSES, type Topology } from '../../test/support/netns.ts';
import { missingPeers } from '../../test/support/peers.ts';
import { must, type TestProcess, until } from '../../test/support/process.ts';
import { versionOf } from '../support.ts';
import { type Contender, gateways, NETWORKS, otherSide, routeInto, type Side, scratch, startBoth } from './path.ts';

/** Names the program of another wireguard-go. */
const ANOTHER = 'BENCH_WIREGUARD_GO';
const DEVICE = 'wg0';
const PORT = 51820;

/** Packet by packet, as in Debian 12. */
export const wireguardGo: Contender = contender('wireguard-go', false);
/** With superframes. */
export const newerWireguardGo: Contender = contender('wireguard-go-newer', true);

function contender(key: string, superframes: boolean): Contender {
  const programs = ['wireguard-go', process.env[ANOTHER] ?? ''].filter(Boolean);
  const program = programs.find((each) => takesSuperframes(each) === superframes);
  const tools = missingPeers('wg')[0];
  return {
    key,
    name: program === undefined ? key.replace('-newer', ', newer') : `wireguard-go ${versionOf(program, '--version')}`,
    setup: 'ChaCha20-Poly1305 as WireGuard always, MTU 1420, no log; socket queues as it asks for',
    absent: program === undefined ? lack(superframes) : tools,
    async join(topology) {
      const keys = { gwA: keyPair(), gwB: keyPair() };
      return gateways(await startBoth((side) => start(topology, side, program!, keys)));
    },
  };
}

/** Undefined for what is no wireguard-go. */
function takesSuperframes(program: string): boolean | undefined {
  const day = versionOf(program, '--version')?.match(/^v?0\.0\.(\d{8})/)?.[1];
  return day === undefined ? undefined : Number(day) >= 20230223;
}

function lack(superframes: boolean): string {
  const here = versionOf('wireguard-go', '--version') ?? 'none';
  const policy = spawnSync('apt-cache', ['policy', 'wireguard-go'], { encoding: 'utf8' }).stdout ?? '';
  const apt = policy.match(/Candidate: (\d\S*)/)?.[1] ?? 'none';
  const wanted = superframes ? 'of 2023 or later, which takes superframes' : 'of before 2023, packet by packet';
  return `none ${wanted}: installed is ${here}, apt offers ${apt}; ${ANOTHER} names another program`;
}

interface KeyPair {
  readonly privateKey: string;
  readonly publicKey: string;
}

/** Base64, as `wg` takes them. */
function keyPair(): KeyPair {
  const { d, x } = generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' });
  const base64 = (text: string): string => Buffer.from(text, 'base64url').toString('base64');
  return { privateKey: base64(d!), publicKey: base64(x!) };
}

/** In a /run of its own: `wg` finds the control socket of a device by name there. */
async function start(
  topology: Topology,
  side: Side,
  program: string,
  keys: Readonly<Record<Side, KeyPair>>,
): Promise<TestProcess> {
  const other = otherSide(side);
  const file = join(scratch(), `${topology.name(side)}.wg`);
  const lines = [
    '[Interface]',
    `PrivateKey = ${keys[side].privateKey}`,
    `ListenPort = ${PORT}`,
    '[Peer]',
    `PublicKey = ${keys[other].publicKey}`,
    `AllowedIPs = ${NETWORKS[other]}`,
    `Endpoint = ${ADDRESSES[other]}:${PORT}`,
  ];
  writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600 });
  const command = `mount -t tmpfs tmpfs /run && exec "${program}" -f ${DEVICE}`;
  const daemon = topology.start(side, 'unshare', ['-m', 'sh', '-c', command], {
    env: { WG_PROCESS_FOREGROUND: '1', LOG_LEVEL: 'error' },
  });
  try {
    const within = ['--target', String(daemon.pid), '--mount', '--net'];
    const configure = async (): Promise<boolean> => {
      if (!daemon.running) throw new Error(`wireguard-go ended: ${daemon.output}`);
      const { code } = await topology.run(side, 'nsenter', [...within, 'wg', 'setconf', DEVICE, file]);
      return code === 0;
    };
    await until(configure, 10_000, () => `wireguard-go is not configured: ${daemon.output}`);
    await must('ip', ['-n', topology.name(side), 'link', 'set', DEVICE, 'mtu', '1420', 'up']);
    routeInto(topology, side, DEVICE);
    return daemon;
  } catch (error) {
    await daemon.stop();
    throw error;
  }
}
