/**
 * OPEN as a record: RFC 4271 §4.2, §6.2; optional parameters of RFC 5492 §4 and, where 255 octets do not hold them, of RFC 9072 §2.
 *
 * Here is refused what no speaker may send; whether the AS is the expected one, which capabilities must be there and whose identifier this is
 * belongs to the session.
 * Deliberate limits: all parameters but capabilities are refused with 2/4 (RFC 4271 §6.2), also the authentication that RFC 4271 deprecates.
 */
import { type Bytes, EMPTY, Reader, Writer } from '../../core/index.ts';
import { decodeCapability, encodeCapability } from './capability.ts';
import { NotificationOwed } from './fault.ts';
import { BGP_VERSION, ERROR, HEADER_LENGTH, OPEN_ERROR, PARAMETER } from './iana.ts';
import type { Capability, OpenMessage } from './types.ts';

/*
 *  Version (1) | My Autonomous System (2) | Hold Time (2) | BGP Identifier (4) | Opt Parm Len (1) | Optional Parameters …
 */
export function decodeOpen(message: Bytes): OpenMessage {
  const r = new Reader(message, HEADER_LENGTH);
  const version = r.u8('open.version');
  if (version !== BGP_VERSION) refuse(r, 'version', `${version}`, OPEN_ERROR.UNSUPPORTED_VERSION, SUPPORTED_VERSION);
  const myAs = r.u16('open.myAs');
  if (myAs === 0) refuse(r, 'myAs', 'is 0', OPEN_ERROR.BAD_PEER_AS);
  const holdSeconds = r.u16('open.holdTime');
  if (holdSeconds === 1 || holdSeconds === 2) {
    refuse(r, 'holdTime', `${holdSeconds} seconds`, OPEN_ERROR.UNACCEPTABLE_HOLD_TIME);
  }
  const identifier = r.u32('open.identifier');
  if (identifier === 0) refuse(r, 'identifier', 'is 0', OPEN_ERROR.BAD_IDENTIFIER);
  const capabilities = decodeParameters(r);
  return { kind: 'open', version, myAs, holdSeconds, identifier, capabilities };
}

/** Without its header. */
export function encodeOpen(w: Writer, open: OpenMessage): void {
  w.u8(open.version);
  w.u16(open.myAs);
  w.u16(open.holdSeconds);
  w.u32(open.identifier);
  encodeParameters(w, open.capabilities);
}

/** RFC 9072 §2: a first parameter of type 255 says that all lengths are of two octets. */
function decodeParameters(r: Reader): Capability[] {
  const length = r.u8('open.parametersLength');
  if (length === 0) {
    r.done('open.parameters');
    return [];
  }
  const first = r.u8('parameter.type');
  if (first !== PARAMETER.EXTENDED_LENGTH) return decodeShortParameters(r, first, length);
  const parameters = r.sub('open.parameters', r.u16('open.extendedLength'));
  r.done('open.parameters');
  const all: Capability[] = [];
  while (parameters.left > 0) {
    const type = parameters.u8('parameter.type');
    decodeParameter(parameters, type, parameters.u16('parameter.length'), all);
  }
  return all;
}

function decodeShortParameters(r: Reader, first: number, length: number): Capability[] {
  const parameters = r.sub('open.parameters', length - 1);
  r.done('open.parameters');
  const all: Capability[] = [];
  decodeParameter(parameters, first, parameters.u8('parameter.length'), all);
  while (parameters.left > 0) {
    const type = parameters.u8('parameter.type');
    decodeParameter(parameters, type, parameters.u8('parameter.length'), all);
  }
  return all;
}

/** RFC 5492 §4: one parameter has one capability or many. */
function decodeParameter(r: Reader, type: number, length: number, into: Capability[]): void {
  if (type !== PARAMETER.CAPABILITIES) {
    refuse(r, 'parameter.type', `${type} is unknown`, OPEN_ERROR.UNSUPPORTED_PARAMETER);
  }
  const value = r.sub('parameter.value', length);
  while (value.left > 0) into.push(decodeCapability(value));
}

/** RFC 5492 §4: one parameter with everything is enough. */
function encodeParameters(w: Writer, capabilities: readonly Capability[]): void {
  const inner = new Writer();
  for (const capability of capabilities) encodeCapability(inner, capability);
  const value = inner.finish();
  if (value.length === 0) return w.u8(0);
  const short = value.length + 2;
  if (short <= 0xff) {
    w.u8(short);
    w.u8(PARAMETER.CAPABILITIES);
    w.u8(value.length);
  } else {
    w.u8(0xff);
    w.u8(PARAMETER.EXTENDED_LENGTH);
    w.u16(value.length + 3);
    w.u8(PARAMETER.CAPABILITIES);
    w.u16(value.length);
  }
  w.bytes(value);
}

function refuse(r: Reader, field: string, problem: string, subcode: number, data: Bytes = EMPTY): never {
  throw new NotificationOwed(`open.${field}`, r.at, problem, ERROR.OPEN, subcode, data);
}

/** RFC 4271 §6.2: the version we can do, of two octets. */
const SUPPORTED_VERSION: Bytes = Uint8Array.of(0, BGP_VERSION);
