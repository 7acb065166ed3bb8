import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeUpdate, IPV4_UNICAST, IPV6_UNICAST } from '../../../src/bgp/message/index.ts';
import { Rib } from '../../../src/bgp/rib/rib.ts';
import { type Bytes, concat, EMPTY, putU16 } from '../../../src/core/index.ts';
import { address, attribute, context, peerOptions, update, usual, word } from './speakers.ts';

/** A sound UPDATE with everything in it, or all but routes (RFC 7606 §5.2). */
const sound = (id: readonly number[], routes: boolean): Bytes =>
  update(
    Uint8Array.of(...id, 8, 11),
    concat(
      routes ? attribute(0x80, 14, 0, 2, 1, 16, ...address('2001:db8::9'), 0, 32, 0x20, 1, 0xd, 0xb8) : EMPTY,
      attribute(0x80, 15, 0, 2, 1, 16, 0x20, 2),
      usual([65_001, 7], [10, 0, 0, 9]),
      attribute(0x80, 4, ...word(5)),
      attribute(0xc0, 8, ...word(0x0001_0002)),
    ),
    routes ? Uint8Array.of(...id, 24, 198, 51, 100, ...id, 8, 10) : EMPTY,
  );
const changes = fc.array(fc.tuple(fc.nat(), fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 4, 32, 255))), {
  maxLength: 4,
});

describe('whatever a peer sends', () => {
  it('RFC 7606: an answer comes, it ends the session where the codec says so, and nothing of it stays behind', () => {
    fc.assert(
      fc.property(changes, fc.boolean(), fc.boolean(), fc.nat(30), (changed, addPath, routes, cut) => {
        const receive = context(true, { addPath: addPath ? [IPV4_UNICAST] : [] });
        const rib = new Rib({ localAs: 65_000, routerId: 1 });
        const peer = rib.add(peerOptions(1, { receive }));
        const whole = sound(addPath ? word(3) : [], routes);
        const octets = whole.slice(0, changed.length === 1 ? Math.max(23, whole.length - cut) : whole.length);
        for (const [at, value] of changed) octets[19 + (at % (octets.length - 19))] = value;
        putU16(octets, 16, octets.length);
        const events = rib.receive(peer, octets, 0);
        const decoded = decodeUpdate(octets, receive);
        const faults = events.filter(({ type }) => type === 'fault');
        expect(faults).toEqual(decoded.treatment === 'reset' ? [{ type: 'fault', ...decoded.refusal }] : []);
        rib.flush();
        const kept = [IPV4_UNICAST, IPV6_UNICAST].map((family) => rib.family(family)!.countOf(peer));
        if (decoded.treatment === 'reset' || decoded.treatment === 'withdraw') expect(kept).toEqual([0, 0]);
        rib.remove(peer);
        rib.flush();
        expect(rib.store.count).toBe(0);
      }),
      { numRuns: 2000 },
    );
  });
});

it('RFC 4724 §2: the end of a table that the session does not have is none', () => {
  const rib = new Rib({ localAs: 65_000, routerId: 1 });
  const peer = rib.add(peerOptions(1, { receive: context(true, { families: [IPV6_UNICAST] }) }));
  const said = (attributes: Bytes) => rib.receive(peer, update(EMPTY, attributes, EMPTY), 0).map(({ type }) => type);
  expect(said(attribute(0x80, 15, 0, 2, 1))).toEqual(['endOfRib']);
  for (const family of [
    [0, 1, 1],
    [0, 2, 128],
    [0x40, 4, 71],
  ])
    expect(said(attribute(0x80, 15, ...family))).not.toContain('endOfRib');
  expect(said(EMPTY)).toEqual([]);
});
