/**
 * The bodies of all payloads, decoded and encoded.
 *
 * Read first: RFC 7296 §3.4–3.16 (one clause a payload, in the order of this file), RFC 7383 §2.5, RFC 3748 §4 (EAP).
 * The chain around the bodies is `payload.ts`; SA bodies are `proposal.ts`, TS bodies `selectors.ts`.
 * Invariants: a body is read to its last octet or refused; RESERVED is skipped and written zero, except in ID.
 */
import type { Bytes, Reader, Writer } from '../core/index.ts';
import { ID, PAYLOAD } from './iana.ts';
import { identityBody } from './identity.ts';
import type { ConfigurationAttribute, KnownPayload, Payload } from './payload.ts';
import { decodeProposals, encodeProposals } from './proposal.ts';
import { decodeSelectors, encodeSelectors } from './selectors.ts';

/** §3.9. */
export const MIN_NONCE = 16;
export const MAX_NONCE = 256;

export const isKnown = (type: number): type is KnownPayload['type'] => DECODERS.has(type);

/** `next` is the Next Payload field of the generic header, which SK and SKF keep for the first payload inside. */
export function decodeBody(type: KnownPayload['type'], critical: boolean, r: Reader, next: number): KnownPayload {
  const payload = DECODERS.get(type)!(r, { type, critical, next });
  r.done('payload');
  return payload;
}

export function encodeBody(w: Writer, payload: Payload): void {
  switch (payload.type) {
    case 'unknown':
      w.bytes(payload.data);
      break;
    case PAYLOAD.SA:
      encodeProposals(w, payload.proposals);
      break;
    case PAYLOAD.KE:
      w.u16(payload.group);
      w.u16(0);
      w.bytes(payload.publicValue);
      break;
    case PAYLOAD.IDI:
    case PAYLOAD.IDR:
      w.bytes(identityBody(payload.identity, payload.reserved));
      break;
    case PAYLOAD.CERT:
      w.u8(payload.encoding);
      w.bytes(payload.data);
      break;
    case PAYLOAD.CERTREQ:
      w.u8(payload.encoding);
      w.bytes(payload.authorities);
      break;
    case PAYLOAD.AUTH:
      w.u8(payload.method);
      w.zeros(3);
      w.bytes(payload.data);
      break;
    case PAYLOAD.NONCE:
      w.bytes(payload.nonce);
      break;
    case PAYLOAD.NOTIFY:
      w.u8(payload.protocol);
      w.u8(payload.spi.length);
      w.u16(payload.notify);
      w.bytes(payload.spi);
      w.bytes(payload.data);
      break;
    case PAYLOAD.DELETE:
      w.u8(payload.protocol);
      w.u8(payload.spiSize);
      w.u16(payload.spis.length);
      for (const spi of payload.spis) w.bytes(spi);
      break;
    case PAYLOAD.VENDOR:
      w.bytes(payload.data);
      break;
    case PAYLOAD.TSI:
    case PAYLOAD.TSR:
      encodeSelectors(w, payload.selectors, payload.unknown);
      break;
    case PAYLOAD.SK:
      w.bytes(payload.data);
      break;
    case PAYLOAD.SKF:
      w.u16(payload.fragment);
      w.u16(payload.total);
      w.bytes(payload.data);
      break;
    case PAYLOAD.CP:
      w.u8(payload.kind);
      w.zeros(3);
      for (const { type, value } of payload.attributes) {
        w.u16(type & ATTRIBUTE_TYPE);
        w.counted16(() => w.bytes(value));
      }
      break;
    case PAYLOAD.EAP:
      w.u8(payload.code);
      w.u8(payload.identifier);
      w.counted16(() => w.bytes(payload.data), 4);
      break;
  }
}

interface Frame {
  readonly type: KnownPayload['type'];
  readonly critical: boolean;
  readonly next: number;
}

type Decode = (r: Reader, frame: Frame) => KnownPayload;

/** §3.5: type (1) | RESERVED (3) | data. The length of addresses is their family. */
const decodeId =
  (type: typeof PAYLOAD.IDI | typeof PAYLOAD.IDR): Decode =>
  (r, { critical }) => {
    const idType = r.u8('id.type');
    const reserved = r.u24('id.reserved');
    const data = r.rest();
    const fixed = idType === ID.IPV4_ADDR ? 4 : idType === ID.IPV6_ADDR ? 16 : data.length;
    if (data.length !== fixed) r.fail('id.data', `${data.length} octets, an address of this type has ${fixed}`);
    return { type, critical, identity: { type: idType, data }, reserved };
  };

/** §3.13: number of selectors (1) | RESERVED (3) | selectors. */
const decodeTs =
  (type: typeof PAYLOAD.TSI | typeof PAYLOAD.TSR): Decode =>
  (r, { critical }) => ({ type, critical, ...decodeSelectors(r) });

/** §3.11: protocol (1) | SPI size (1) | number of SPIs (2) | SPIs. */
const decodeDelete: Decode = (r, { critical }) => {
  const protocol = r.u8('delete.protocol');
  const spiSize = r.u8('delete.spiSize');
  const count = r.u16('delete.count');
  if (count * spiSize !== r.left || (spiSize === 0 && count > 0)) {
    r.fail('delete.count', `${count} SPIs of ${spiSize} octets do not fill ${r.left} octets`);
  }
  const spis: Bytes[] = [];
  for (let i = 0; i < count; i++) spis.push(r.bytes('delete.spi', spiSize));
  return { type: PAYLOAD.DELETE, critical, protocol, spiSize, spis };
};

/** RFC 7383 §2.5: fragment number (2) | total fragments (2) | IV, ciphertext, ICV. */
const decodeFragment: Decode = (r, { critical, next }) => {
  const fragment = r.u16('skf.fragment');
  const total = r.u16('skf.total');
  if (fragment === 0 || fragment > total) r.fail('skf.fragment', `fragment ${fragment} of ${total}`);
  return { type: PAYLOAD.SKF, critical, firstInner: next, fragment, total, data: r.rest() };
};

/** §3.15: type (1) | RESERVED (3) | attributes: R (1 bit), type (15 bits) | length (2) | value. */
const decodeConfiguration: Decode = (r, { critical }) => {
  const kind = r.u8('cp.type');
  r.skip(3, 'cp.reserved');
  const attributes: ConfigurationAttribute[] = [];
  while (r.left > 0) {
    const type = r.u16('cp.attribute') & ATTRIBUTE_TYPE;
    attributes.push({ type, value: r.bytes('cp.value', r.u16('cp.length')) });
  }
  return { type: PAYLOAD.CP, critical, kind, attributes };
};

/** §3.16, RFC 3748 §4: code (1) | identifier (1) | length of all (2) | data. */
const decodeEap: Decode = (r, { critical }) => {
  const whole = r.left;
  const code = r.u8('eap.code');
  const identifier = r.u8('eap.identifier');
  const length = r.u16('eap.length');
  if (length !== whole) r.fail('eap.length', `says ${length} octets, the payload has ${whole}`);
  return { type: PAYLOAD.EAP, critical, code, identifier, data: r.rest() };
};

const DECODERS: ReadonlyMap<number, Decode> = new Map<number, Decode>([
  [PAYLOAD.SA, (r, { critical }) => ({ type: PAYLOAD.SA, critical, proposals: decodeProposals(r) })],
  [
    PAYLOAD.KE,
    (r, { critical }) => {
      const group = r.u16('ke.group');
      r.skip(2, 'ke.reserved');
      return { type: PAYLOAD.KE, critical, group, publicValue: r.rest() };
    },
  ],
  [PAYLOAD.IDI, decodeId(PAYLOAD.IDI)],
  [PAYLOAD.IDR, decodeId(PAYLOAD.IDR)],
  [
    PAYLOAD.CERT,
    (r, { critical }) => ({ type: PAYLOAD.CERT, critical, encoding: r.u8('cert.encoding'), data: r.rest() }),
  ],
  [
    PAYLOAD.CERTREQ,
    (r, { critical }) => ({
      type: PAYLOAD.CERTREQ,
      critical,
      encoding: r.u8('certreq.encoding'),
      authorities: r.rest(),
    }),
  ],
  [
    PAYLOAD.AUTH,
    (r, { critical }) => {
      const method = r.u8('auth.method');
      r.skip(3, 'auth.reserved');
      return { type: PAYLOAD.AUTH, critical, method, data: r.rest() };
    },
  ],
  [
    PAYLOAD.NONCE,
    (r, { critical }) => {
      if (r.left < MIN_NONCE || r.left > MAX_NONCE) {
        r.fail('nonce', `${r.left} octets, ${MIN_NONCE}..${MAX_NONCE} allowed`);
      }
      return { type: PAYLOAD.NONCE, critical, nonce: r.rest() };
    },
  ],
  [
    PAYLOAD.NOTIFY,
    (r, { critical }) => {
      const protocol = r.u8('notify.protocol');
      const spiSize = r.u8('notify.spiSize');
      const notify = r.u16('notify.type');
      const spi = r.bytes('notify.spi', spiSize);
      return { type: PAYLOAD.NOTIFY, critical, protocol, spi, notify, data: r.rest() };
    },
  ],
  [PAYLOAD.DELETE, decodeDelete],
  [PAYLOAD.VENDOR, (r, { critical }) => ({ type: PAYLOAD.VENDOR, critical, data: r.rest() })],
  [PAYLOAD.TSI, decodeTs(PAYLOAD.TSI)],
  [PAYLOAD.TSR, decodeTs(PAYLOAD.TSR)],
  [PAYLOAD.SK, (r, { critical, next }) => ({ type: PAYLOAD.SK, critical, firstInner: next, data: r.rest() })],
  [PAYLOAD.SKF, decodeFragment],
  [PAYLOAD.CP, decodeConfiguration],
  [PAYLOAD.EAP, decodeEap],
]);

/** The R bit in front of it is reserved (§3.15.1). */
const ATTRIBUTE_TYPE = 0x7fff;
