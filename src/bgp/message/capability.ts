/**
 * Capabilities of OPEN as records, read and written one at a time: RFC 5492 §4.
 *
 * Read first: RFC 4760 §8, RFC 2918 §2, RFC 8950 §4, RFC 8654 §3, RFC 4724 §3, RFC 8538 §2, RFC 6793 §3, RFC 7911 §4, RFC 7313 §3.1, RFC 9494 §3.
 * What a capability means for a session, also when it comes twice, is the session's business.
 * A known capability of a length it cannot have is malformed: 2/0 (RFC 4271 §6.2, last paragraph).
 */
import type { Reader, Writer } from '../../core/index.ts';
import { CAPABILITY, ERROR, OPEN_ERROR } from './iana.ts';
import type { Capability, Family } from './types.ts';

/*  Capability Code (1) | Capability Length (1) | Capability Value …  */
export function decodeCapability(r: Reader): Capability {
  const code = r.u8('capability.code');
  const value = r.sub('capability.value', r.u8('capability.length'));
  const decode = DECODERS[code];
  if (decode === undefined) return { name: 'unknown', code, value: value.rest() };
  const capability = decode(value);
  value.done('capability.value');
  return capability;
}

export function encodeCapability(w: Writer, capability: Capability): void {
  w.u8(capabilityCode(capability));
  w.counted8(() => encodeValue(w, capability));
}

export const capabilityCode = (c: Capability): number => (c.name === 'unknown' ? c.code : CODES[c.name]);

/*  AFI (2) | SAFI (1), everywhere but in the capability of RFC 4760  */
const decodeFamily = (r: Reader): Family => (r.u16('capability.afi') << 8) | r.u8('capability.safi');

function encodeFamily(w: Writer, family: Family): void {
  w.u16(family >>> 8);
  w.u8(family & 0xff);
}

/*  AFI (2) | Reserved (1) | SAFI (1): RFC 4760 §8.  */
function decodeMultiprotocol(r: Reader): Capability {
  const afi = r.u16('multiprotocol.afi');
  r.skip(1, 'multiprotocol.reserved');
  return { name: 'multiprotocol', family: (afi << 8) | r.u8('multiprotocol.safi') };
}

/*  NLRI AFI (2) | NLRI SAFI (2) | Nexthop AFI (2), once or more: RFC 8950 §4.  */
function decodeExtendedNextHop(r: Reader): Capability {
  const entries = repeated(r, () => {
    const afi = r.u16('extendedNextHop.afi');
    const safi = r.u16('extendedNextHop.safi');
    if (safi > 0xff) r.fail('extendedNextHop.safi', `${safi} is no SAFI`);
    return { family: (afi << 8) | safi, nextHopAfi: r.u16('extendedNextHop.nextHopAfi') };
  });
  return { name: 'extendedNextHop', entries };
}

/*  R N r r (4 bits) | Restart Time (12 bits) | { AFI (2) | SAFI (1) | F (1) }: RFC 4724 §3.  */
function decodeGracefulRestart(r: Reader): Capability {
  const flags = r.u16('gracefulRestart.time');
  return {
    name: 'gracefulRestart',
    restarting: (flags & RESTARTING) !== 0,
    notification: (flags & NOTIFIES) !== 0,
    restartSeconds: flags & MAXIMUM_RESTART_SECONDS,
    families: repeated(r, () => ({
      family: decodeFamily(r),
      forwarding: (r.u8('gracefulRestart.flags') & FORWARDING) !== 0,
    })),
  };
}

/*  { AFI (2) | SAFI (1) | F (1) | Long-Lived Stale Time (3) }: RFC 9494 §3.  */
const decodeLongLived = (r: Reader): Capability => ({
  name: 'longLivedGracefulRestart',
  families: repeated(r, () => ({
    family: decodeFamily(r),
    forwarding: (r.u8('longLived.flags') & FORWARDING) !== 0,
    staleSeconds: r.u24('longLived.time'),
  })),
});

/*  { AFI (2) | SAFI (1) | Send/Receive (1) }: RFC 7911 §4.  */
const decodeAddPath = (r: Reader): Capability => ({
  name: 'addPath',
  families: repeated(r, () => ({ family: decodeFamily(r), mode: r.u8('addPath.mode') })),
});

function repeated<T>(r: Reader, one: () => T): T[] {
  const all: T[] = [];
  while (r.left > 0) all.push(one());
  return all;
}

function encodeValue(w: Writer, c: Capability): void {
  switch (c.name) {
    case 'multiprotocol':
      w.u16(c.family >>> 8);
      w.u8(0);
      w.u8(c.family & 0xff);
      return;
    case 'extendedNextHop':
      for (const entry of c.entries) {
        w.u16(entry.family >>> 8);
        w.u16(entry.family & 0xff);
        w.u16(entry.nextHopAfi);
      }
      return;
    case 'gracefulRestart':
      return encodeGracefulRestart(w, c);
    case 'fourOctetAs':
      return w.u32(c.asn);
    case 'addPath':
      for (const entry of c.families) {
        encodeFamily(w, entry.family);
        w.u8(entry.mode);
      }
      return;
    case 'longLivedGracefulRestart':
      for (const entry of c.families) {
        encodeFamily(w, entry.family);
        w.u8(entry.forwarding ? FORWARDING : 0);
        w.u24(Math.min(entry.staleSeconds, 0xffffff));
      }
      return;
    case 'unknown':
      return w.bytes(c.value);
    default:
      return;
  }
}

function encodeGracefulRestart(w: Writer, c: Extract<Capability, { name: 'gracefulRestart' }>): void {
  const flags = (c.restarting ? RESTARTING : 0) | (c.notification ? NOTIFIES : 0);
  w.u16(flags | Math.min(c.restartSeconds, MAXIMUM_RESTART_SECONDS));
  for (const entry of c.families) {
    encodeFamily(w, entry.family);
    w.u8(entry.forwarding ? FORWARDING : 0);
  }
}

const RESTARTING = 0x8000;
const NOTIFIES = 0x4000;
const FORWARDING = 0x80;
const MAXIMUM_RESTART_SECONDS = 0x0fff;

const CODES: Readonly<Record<Exclude<Capability['name'], 'unknown'>, number>> = {
  multiprotocol: CAPABILITY.MULTIPROTOCOL,
  routeRefresh: CAPABILITY.ROUTE_REFRESH,
  extendedNextHop: CAPABILITY.EXTENDED_NEXT_HOP,
  extendedMessage: CAPABILITY.EXTENDED_MESSAGE,
  gracefulRestart: CAPABILITY.GRACEFUL_RESTART,
  fourOctetAs: CAPABILITY.FOUR_OCTET_AS,
  addPath: CAPABILITY.ADD_PATH,
  enhancedRouteRefresh: CAPABILITY.ENHANCED_ROUTE_REFRESH,
  longLivedGracefulRestart: CAPABILITY.LONG_LIVED_GRACEFUL_RESTART,
};

const DECODERS: Readonly<Record<number, (r: Reader) => Capability>> = {
  [CAPABILITY.MULTIPROTOCOL]: decodeMultiprotocol,
  [CAPABILITY.ROUTE_REFRESH]: () => ({ name: 'routeRefresh' }),
  [CAPABILITY.EXTENDED_NEXT_HOP]: decodeExtendedNextHop,
  [CAPABILITY.EXTENDED_MESSAGE]: () => ({ name: 'extendedMessage' }),
  [CAPABILITY.GRACEFUL_RESTART]: decodeGracefulRestart,
  [CAPABILITY.FOUR_OCTET_AS]: decodeFourOctetAs,
  [CAPABILITY.ADD_PATH]: decodeAddPath,
  [CAPABILITY.ENHANCED_ROUTE_REFRESH]: () => ({ name: 'enhancedRouteRefresh' }),
  [CAPABILITY.LONG_LIVED_GRACEFUL_RESTART]: decodeLongLived,
};

/** RFC 7607 §2: nobody has the number 0. */
function decodeFourOctetAs(r: Reader): Capability {
  const asn = r.u32('fourOctetAs.asn');
  if (asn === 0) r.fail('fourOctetAs.asn', 'is 0', (ERROR.OPEN << 8) | OPEN_ERROR.BAD_PEER_AS);
  return { name: 'fourOctetAs', asn };
}
