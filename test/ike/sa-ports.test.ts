import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/core/index.ts';
import { IkeEndpoint } from '../../src/ike/index.ts';
import { connection } from '../support/ike-pair.ts';

/** Ports of the first datagram of an endpoint that has 1500 and 4501 itself. */
function firstPorts(remotePort: number): readonly [number, number] {
  const endpoint = new IkeEndpoint({ random: seededRandom(1), ikePort: 1500, nattPort: 4501 });
  const actions = endpoint.handle(
    { type: 'configure', connections: [connection('a', { start: 'boot', remotePort })] },
    0,
  );
  const sent = actions.find((action) => action.do === 'send')!;
  return [sent.local.port, sent.remote.port];
}

describe('RFC 7296 §2.23: ports', () => {
  it('a peer on port 500 is asked from our own IKE port', () => {
    expect(firstPorts(500)).toEqual([1500, 500]);
  });

  it('a peer on any other port is asked from our NAT-T port, where markers are expected', () => {
    expect(firstPorts(4500)).toEqual([4501, 4500]);
    expect(firstPorts(14500)).toEqual([4501, 14500]);
  });
});
