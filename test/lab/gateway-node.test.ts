/** What a gateway in the lab puts on its networks. */
import { describe, expect, it } from 'vitest';
import { type Bytes, seededRandom, toHex } from '../../src/core/index.ts';
import {
  checkIp,
  checkUdp,
  findUpperLayer,
  IP_PROTOCOL,
  ipv4Identification,
  newUpperLayer,
  PASS,
} from '../../src/ip/index.ts';
import { GatewayNode, OuterNetwork, resolveDocument, Timeline } from '../../src/lab/index.ts';
import { naiveCut, PLAIN, packetOf, pooled } from '../ip/superframe-support.ts';
import { counting } from '../support/packets.ts';

const document = (near: number, encapsulation: string): string => {
  const far = 3 - near;
  return `version: 1
gateway: { external: { addresses: [192.0.2.${near}] } }
tenants:
  - name: contoso
    interfaces: [{ name: inside, driver: fabric, addresses: [10.${near}.0.254/24] }]
    connections:
      - name: c
        local: { address: 192.0.2.${near} }
        remote: { address: 192.0.2.${far} }
        auth: { psk: { inline: a secret of more than sixteen octets } }
        child: { local: [10.${near}.0.0/24], remote: [10.${far}.0.0/24] }
        encapsulation: ${encapsulation}
`;
};

describe('a train', () => {
  it.each([
    ['udp', IP_PROTOCOL.udp],
    ['auto', IP_PROTOCOL.esp],
  ] as const)('of ESP, encapsulation %s, goes as a packet for each datagram', (encapsulation, protocol) => {
    const timeline = new Timeline();
    const random = seededRandom(1);
    const outer = new OuterNetwork(timeline, random);
    const [near, far] = [new GatewayNode({ timeline, outer, random }), new GatewayNode({ timeline, outer, random })];
    near.apply(resolveDocument(document(1, encapsulation)));
    far.apply(resolveDocument(document(2, encapsulation)));
    timeline.runToIdle(100);
    const send = (octets: Bytes, segment: number): void => {
      const packet = pooled(near.pool, octets, segment, segment > 0);
      near.dispatch({ type: 'packet', tenant: 'contoso', interface: 'inside', packet });
    };
    send(packetOf(PLAIN, new Uint8Array(1)), 0);
    timeline.advanceTo(2000);
    const arrived: Bytes[] = [];
    const wire: Bytes[] = [];
    outer.tap((packet) => wire.push(packet));
    far.segment('contoso', 'inside').tap((packet) => arrived.push(packet));
    send(packetOf(PLAIN, counting(5500)), 1000);
    timeline.advanceTo(2100);

    const pieces = naiveCut(packetOf({ ...PLAIN, hopLimit: PLAIN.hopLimit - 2 }, counting(5500)), 20, 40, 6, 1000);
    expect(arrived.map((each) => toHex(each))).toEqual(pieces.map((each) => toHex(each)));
    expect(wire.length).toBe(6);
    const upper = newUpperLayer();
    for (const packet of wire) {
      expect(checkIp(packet, 0, packet.length)).toBe(PASS);
      expect([findUpperLayer(packet, 0, packet.length, upper), upper.protocol]).toEqual([PASS, protocol]);
      if (protocol === IP_PROTOCOL.udp) expect(checkUdp(packet, 0, upper.at, upper.end)).toBe(PASS);
    }
    expect(new Set(wire.map((packet) => ipv4Identification(packet, 0))).size).toBe(6);
    expect(new Set(wire.slice(0, 5).map(({ length }) => length)).size).toBe(1);
    expect(wire[5]!.length).toBeLessThan(wire[0]!.length);
    expect([near.pool.taken, far.pool.taken]).toEqual([0, 0]);
  });
});
