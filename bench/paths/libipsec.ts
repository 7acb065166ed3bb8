/** strongSwan with its userland ESP: the same protocol, suite and carrier as Bulkhead. */
import { ADDRESSES } from '../../test/support/netns.ts';
import { missingPeers } from '../../test/support/peers.ts';
import { fastStrongswan, PSK, versionOf } from '../support.ts';
import { ESP, IKE } from './bulkhead.ts';
import { type Contender, gateways, NETWORKS, otherSide, type Side, startBoth } from './path.ts';

export const libipsec: Contender = {
  key: 'libipsec',
  name: `strongSwan ${versionOf('swanctl', '--help') ?? ''} libipsec`.replace('  ', ' '),
  setup: `kernel-libipsec, ${ESP}, ESP in UDP; OpenSSL plugin first, no log; socket queues of the host's default`,
  absent: missingPeers('strongswan')[0],
  async join(topology) {
    const swans = await startBoth((side) => fastStrongswan(topology, side, options(side)));
    const { code, stdout, stderr } = await swans[1]!.initiate();
    if (code !== 0) {
      await gateways(swans).stop();
      throw new Error(`strongSwan does not connect: ${stdout}${stderr}`);
    }
    return gateways(swans);
  },
};

const options = (side: Side) => ({
  connections: {
    s2s: {
      localAddress: ADDRESSES[side],
      remoteAddress: ADDRESSES[otherSide(side)],
      psk: PSK,
      proposals: IKE,
      children: { net: { localTs: [NETWORKS[side]], remoteTs: [NETWORKS[otherSide(side)]], proposals: ESP } },
    },
  },
});
