/** Two Bulkheads: with the best crypto engine there is, with the OpenSSL inside node, and with workers that are not in real time. */
import { engineCandidates } from '../../src/runtime/index.ts';
import { ADDRESSES } from '../../test/support/netns.ts';
import { GatewayProcess } from '../support.ts';
import { type Contender, gateways, NETWORKS, otherSide, type Side, startBoth } from './path.ts';

export const IKE = 'aes128gcm16-prfsha256-curve25519';
export const ESP = 'aes128gcm16';

export const bulkhead: Contender = { ...contender('bulkhead', 'Bulkhead'), absent: undefined };

/** docs/decisions/0009. */
export const bulkheadNormal: Contender = {
  ...contender('bulkhead-normal', 'Bulkhead, scheduling: normal', { scheduling: 'normal' }),
  absent: undefined,
};

export const bulkheadOpenssl: Contender = {
  ...contender('bulkhead-openssl', 'Bulkhead, openssl engine', { without: 'ipsec-mb' }),
  absent: lackOf('openssl') ?? lackOf('ipsec-mb'),
};

/** Without ipsec-mb the best engine is openssl, and there is nothing to compare. */
function lackOf(engine: string): string | undefined {
  const candidate = engineCandidates().find(({ name }) => name === engine)!;
  return 'why' in candidate ? `no ${engine}: ${candidate.why}` : undefined;
}

function contender(key: string, name: string, { without = '', scheduling = 'auto' } = {}): Omit<Contender, 'absent'> {
  const env = { BULKHEAD_WITHOUT_ENGINES: without };
  return {
    key,
    name,
    setup: `${ESP}, ESP in UDP, its defaults${without === '' ? '' : `; BULKHEAD_WITHOUT_ENGINES=${without}`}`,
    async join(topology) {
      const both = await startBoth((side) =>
        GatewayProcess.start(document(side, scheduling), topology, side, { env, logLevel: 'info' }),
      );
      const engine = both[0]!.process.output.match(/protected by ([^"\n]+)/)?.[1];
      return { ...gateways(both), ...(engine === undefined ? {} : { found: `engines ${engine.trim()}` }) };
    },
  };
}

function document(side: Side, scheduling: string): object {
  const other = otherSide(side);
  const connection = {
    name: 'peer',
    remote: { address: ADDRESSES[other] },
    auth: { psk: { env: 'BENCH_PSK' } },
    ike: { proposals: [IKE] },
    child: { proposals: [ESP], local: [NETWORKS[side]], remote: [NETWORKS[other]] },
    start: side === 'gwA' ? 'boot' : 'listen',
    encapsulation: 'udp',
  };
  const tenant = {
    name: 'bench',
    interfaces: [{ name: 'inside', driver: 'tun', device: 'bh0', addresses: ['10.9.0.1/24'] }],
    routes: [{ prefix: NETWORKS[side], via: 'inside' }],
    connections: [connection],
  };
  const gateway = { external: { addresses: [ADDRESSES[side]] }, dataplane: { scheduling } };
  return { version: 1, gateway, tenants: [tenant] };
}
