/** Generated payloads and proposals: everything the codec can express, in the form decoding gives it. */
import fc from 'fast-check';
import { type Bytes, EMPTY } from '../../src/core/index.ts';
import * as ike from '../../src/ike/index.ts';
import type { TrafficSelector } from '../../src/ip/index.ts';

const { PAYLOAD } = ike;

const u8 = fc.nat({ max: 0xff });
const u16 = fc.nat({ max: 0xffff });
export const octets = (minLength: number, maxLength: number): fc.Arbitrary<Bytes> =>
  fc.uint8Array({ minLength, maxLength }).map((b) => b.slice());
const exactly = (length: number) => octets(length, length);

const attribute: fc.Arbitrary<ike.Attribute> = fc.record({
  // Key Length in the TV format is `keyBits`.
  type: fc.nat({ max: 0x7fff }).filter((type) => type !== ike.ATTRIBUTE.KEY_LENGTH),
  value: fc.oneof(u16, octets(0, 6)),
});

export const anyTransform: fc.Arbitrary<ike.Transform> = fc.record({
  type: fc.oneof(fc.integer({ min: 1, max: 5 }), u8),
  id: fc.oneof(fc.nat({ max: 40 }), u16),
  keyBits: fc.option(fc.oneof(fc.constantFrom(128, 192, 256), u16), { nil: undefined }),
  attributes: fc.oneof(
    { weight: 4, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(attribute, { maxLength: 3 }) },
  ),
});

export const anyProposal: fc.Arbitrary<ike.Proposal> = fc.record({
  number: u8,
  protocol: u8,
  spi: fc.oneof(fc.constant(EMPTY), exactly(4), exactly(8), octets(0, 20)),
  transforms: fc.array(anyTransform, { maxLength: 8 }),
});

const selectorOf = (length: number): fc.Arbitrary<TrafficSelector> =>
  fc.record({ protocol: u8, startPort: u16, endPort: u16, start: exactly(length), end: exactly(length) });

const identity: fc.Arbitrary<ike.Identity> = fc.oneof(
  fc.record({ type: fc.constant(ike.ID.IPV4_ADDR), data: exactly(4) }),
  fc.record({ type: fc.constant(ike.ID.IPV6_ADDR), data: exactly(16) }),
  fc.record({ type: fc.constantFrom(2, 3, 9, 10, 11, 12, 13, 200), data: octets(0, 40) }),
);
export const anyIdentity = identity;

const critical = fc.boolean();

/** Every payload that may stand inside SK or in the clear. */
export const anyPayload: fc.Arbitrary<ike.Payload> = fc.oneof(
  fc.record({
    type: fc.constant(PAYLOAD.SA),
    critical,
    proposals: fc.array(anyProposal, { minLength: 1, maxLength: 4 }),
  }),
  fc.record({ type: fc.constant(PAYLOAD.KE), critical, group: u16, publicValue: octets(0, 64) }),
  fc.record({
    type: fc.constantFrom(PAYLOAD.IDI, PAYLOAD.IDR),
    critical,
    identity,
    reserved: fc.oneof(fc.constant(0), fc.nat({ max: 0xffffff })),
  }),
  fc.record({ type: fc.constant(PAYLOAD.CERT), critical, encoding: u8, data: octets(0, 64) }),
  fc.record({ type: fc.constant(PAYLOAD.CERTREQ), critical, encoding: u8, authorities: octets(0, 40) }),
  fc.record({ type: fc.constant(PAYLOAD.AUTH), critical, method: u8, data: octets(0, 64) }),
  fc.record({ type: fc.constant(PAYLOAD.NONCE), critical, nonce: octets(16, 256) }),
  fc.record({
    type: fc.constant(PAYLOAD.NOTIFY),
    critical,
    protocol: u8,
    spi: octets(0, 12),
    notify: u16,
    data: octets(0, 64),
  }),
  fc.nat({ max: 8 }).chain((spiSize) =>
    fc.record({
      type: fc.constant(PAYLOAD.DELETE),
      critical,
      protocol: u8,
      spiSize: fc.constant(spiSize),
      spis: spiSize === 0 ? fc.constant([]) : fc.array(exactly(spiSize), { maxLength: 6 }),
    }),
  ),
  fc.record({ type: fc.constant(PAYLOAD.VENDOR), critical, data: octets(0, 40) }),
  fc.record({
    type: fc.constantFrom(PAYLOAD.TSI, PAYLOAD.TSR),
    critical,
    selectors: fc.array(fc.oneof(selectorOf(4), selectorOf(16)), { maxLength: 5 }),
    unknown: fc.array(fc.record({ type: fc.constantFrom(0, 1, 9, 10, 77), protocol: u8, data: octets(0, 20) }), {
      maxLength: 2,
    }),
  }),
  fc.record({
    type: fc.constant(PAYLOAD.CP),
    critical,
    kind: u8,
    attributes: fc.array(fc.record({ type: fc.nat({ max: 0x7fff }), value: octets(0, 20) }), { maxLength: 5 }),
  }),
  fc.record({ type: fc.constant(PAYLOAD.EAP), critical, code: u8, identifier: u8, data: octets(0, 40) }),
  fc.record({
    type: fc.constant('unknown' as const),
    payloadType: fc.oneof(fc.integer({ min: 1, max: 32 }), fc.integer({ min: 54, max: 255 })),
    critical: fc.constant(false),
    data: octets(0, 40),
  }),
);

export const anyHeader: fc.Arbitrary<ike.HeaderFields> = fc.record({
  spiI: exactly(8),
  spiR: exactly(8),
  exchange: u8,
  flags: fc.record({ initiator: fc.boolean(), version: fc.boolean(), response: fc.boolean() }),
  messageId: fc.nat({ max: 0xffffffff }),
  major: fc.constant(2),
  minor: fc.nat({ max: 15 }),
});
