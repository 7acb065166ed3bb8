import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../src/core/index.ts';
import {
  answerEcho,
  buildIcmpEcho,
  buildIpv4,
  checkIp,
  echoIdentifier,
  echoSequence,
  findUpperLayer,
  ICMP_TYPE,
  IP_PROTOCOL,
  ipv4DontFragment,
  ipv4Identification,
  ipv4TimeToLive,
  ipv4TrafficClass,
  newUpperLayer,
  PASS,
  transportChecksumHolds,
} from '../../src/ip/index.ts';
import { describePacket } from '../support/packets.ts';

const folder = new URL('../vectors/ike/strongswan/', import.meta.url);
const inner: Uint8Array[] = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .flatMap((name) => {
    const session = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as { esp?: { inner: string }[] };
    return (session.esp ?? []).map((packet) => fromHex(packet.inner));
  });

/** The IPv4 packet `octets` with the same header fields around other data. */
const rebuilt = (octets: Uint8Array, source: Uint8Array, destination: Uint8Array, payload: Uint8Array): Uint8Array =>
  buildIpv4(
    {
      source,
      destination,
      protocol: octets[9]!,
      timeToLive: ipv4TimeToLive(octets, 0),
      trafficClass: ipv4TrafficClass(octets, 0),
      identification: ipv4Identification(octets, 0),
      dontFragment: ipv4DontFragment(octets, 0),
    },
    payload,
  );

describe('packets that Linux made, out of recorded tunnels', () => {
  it('are all sound, their checksums right', () => {
    expect(inner.length).toBeGreaterThan(200);
    const upper = newUpperLayer();
    for (const octets of inner) {
      expect([describePacket(octets), checkIp(octets, 0, octets.length)]).toEqual([expect.any(String), PASS]);
      expect(findUpperLayer(octets, 0, octets.length, upper)).toBe(PASS);
      expect(transportChecksumHolds(octets, 0, upper.at, upper.end, upper.protocol)).toBe(true);
    }
  });

  it('pings are rebuilt to the same octets, and answered with the reply Linux gave', () => {
    const pings = inner.filter((o) => o[0] === 0x45 && o[9] === IP_PROTOCOL.icmp);
    const replies = new Set(
      pings
        .filter((o) => o[20] === ICMP_TYPE.echoReply)
        .map((o) => `${toHex(o.subarray(12, 20))} ${toHex(o.subarray(20))}`),
    );
    let answered = 0;
    for (const octets of pings) {
      const [source, destination] = [octets.subarray(12, 16), octets.subarray(16, 20)];
      const type = octets[20] === ICMP_TYPE.echoRequest ? 'request' : 'reply';
      const [identifier, sequence] = [echoIdentifier(octets, 20), echoSequence(octets, 20)];
      const message = buildIcmpEcho({ source, destination, type, identifier, sequence }, octets.subarray(28)).subarray(
        20,
      );
      expect(toHex(rebuilt(octets, source, destination, message))).toBe(toHex(octets));
      if (type === 'reply') continue;
      const answer = octets.slice();
      answerEcho(answer, 0, 20);
      if (replies.has(`${toHex(answer.subarray(12, 20))} ${toHex(answer.subarray(20))}`)) answered += 1;
    }
    expect(answered).toBeGreaterThan(50);
  });
});
