/** Two relays written in C that move superframes as they are: the floor of `relay.c`, compiled for this run. */
import { join } from 'node:path';
import { ADDRESSES, type Topology } from '../../test/support/netns.ts';
import { missingPeers } from '../../test/support/peers.ts';
import { must, type TestProcess } from '../../test/support/process.ts';
import { ROOT } from '../support.ts';
import { type Contender, gateways, otherSide, routeInto, type Side, scratch, startBoth } from './path.ts';

const DEVICE = 'relay0';
const PORT = 4600;
/** As of Bulkhead's tunnel with this suite in UDP: segments of TCP are as long as there. */
const MTU = 1438;

export const relay: Contender = {
  key: 'relay',
  name: 'C relay',
  setup: 'bench/relay.c, -O2: superframes between TUN and UDP as they are; no framing, no cipher, no checksum',
  absent: missingPeers('cc')[0],
  async join(topology) {
    const program = join(scratch(), 'relay');
    await must('cc', ['-O2', '-Wall', '-o', program, join(ROOT, 'bench/relay.c')]);
    return gateways(await startBoth((side) => start(topology, side, program)));
  },
};

async function start(topology: Topology, side: Side, program: string): Promise<TestProcess> {
  const words = [DEVICE, ADDRESSES[side], ADDRESSES[otherSide(side)], String(PORT)];
  const daemon = topology.start(side, program, words);
  try {
    await daemon.line(/ready/);
    await must('ip', ['-n', topology.name(side), 'link', 'set', DEVICE, 'mtu', String(MTU), 'up']);
    routeInto(topology, side, DEVICE);
    return daemon;
  } catch (error) {
    await daemon.stop();
    throw error;
  }
}
