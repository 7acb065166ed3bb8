/**
 * OpenVPN point to point over UDP: TLS with certificates of this run, AES-128-GCM on the data channel, in userland (no DCO).
 *
 * Read first: openvpn(8), of 2.6. Its TCP segments fit the outer MTU (mssfix), so nothing is fragmented outside.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ADDRESSES, type Topology } from '../../test/support/netns.ts';
import { missingPeers } from '../../test/support/peers.ts';
import { must, type TestProcess } from '../../test/support/process.ts';
import { versionOf } from '../support.ts';
import { type Contender, gateways, otherSide, routeInto, type Side, scratch, startBoth } from './path.ts';

const CIPHER = 'AES-128-GCM';
const DEVICE = 'ovpn0';
/** Octets of its socket queues; the kernel grants net.core.rmem_max and wmem_max at most. */
const QUEUE = 4 << 20;

export const openvpn: Contender = {
  key: 'openvpn',
  name: `OpenVPN ${versionOf('openvpn', '--version') ?? ''}`.trim(),
  setup: `TLS, ${CIPHER} over UDP, no DCO, fast-io, socket queues of ${QUEUE >> 20} MB, txqueuelen 1000`,
  absent: missingPeers('openvpn', 'openssl')[0],
  async join(topology) {
    const identities = { gwA: await identity(topology, 'gwA'), gwB: await identity(topology, 'gwB') };
    const both = await startBoth((side) => start(topology, side, identities));
    const vpn = gateways(both);
    try {
      for (const daemon of both) await daemon.line(/Initialization Sequence Completed/, 20_000);
      for (const daemon of both) await daemon.line(new RegExp(`Data Channel: cipher '${CIPHER}'`));
      return vpn;
    } catch (error) {
      await vpn.stop();
      throw error;
    }
  },
};

interface Identity {
  readonly key: string;
  readonly certificate: string;
  readonly fingerprint: string;
}

async function identity(topology: Topology, side: Side): Promise<Identity> {
  const [key, certificate] = ['key', 'crt'].map((kind) => join(scratch(), `${topology.name(side)}.${kind}`));
  const words = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'];
  await must('openssl', [...words, '-subj', `/CN=${side}`, '-keyout', key!, '-out', certificate!]);
  const { fingerprint256 } = new X509Certificate(readFileSync(certificate!));
  return { key: key!, certificate: certificate!, fingerprint: fingerprint256 };
}

async function start(
  topology: Topology,
  side: Side,
  identities: Readonly<Record<Side, Identity>>,
): Promise<TestProcess> {
  const other = otherSide(side);
  const { key, certificate } = identities[side];
  const inner = side === 'gwA' ? ['10.8.0.1', '10.8.0.2'] : ['10.8.0.2', '10.8.0.1'];
  const words = [
    ...['--dev', DEVICE, '--dev-type', 'tun', '--ifconfig', ...inner, '--txqueuelen', 1000],
    ...['--proto', 'udp4', '--local', ADDRESSES[side], '--remote', ADDRESSES[other], '--port', 1194],
    ...(side === 'gwA' ? ['--tls-client'] : ['--tls-server', '--dh', 'none']),
    ...['--key', key, '--cert', certificate, '--peer-fingerprint', identities[other].fingerprint],
    ...['--cipher', CIPHER, '--data-ciphers', CIPHER, '--reneg-sec', 0],
    ...['--disable-dco', '--fast-io', '--sndbuf', QUEUE, '--rcvbuf', QUEUE],
    ...['--tun-mtu', 1500, '--mssfix', 1500, 'mtu', '--verb', 3],
  ];
  const daemon = topology.start(side, 'openvpn', words.map(String));
  try {
    await daemon.line(/TUN\/TAP TX queue length set|link remote:/);
    routeInto(topology, side, DEVICE);
    return daemon;
  } catch (error) {
    await daemon.stop();
    throw error;
  }
}
