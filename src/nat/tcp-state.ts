/**
 * What a NAT knows of a TCP connection: six facts, in the bits of a row's state.
 *
 * Read first: RFC 7857 §2 and RFC 6146 §3.5.2 (the state machine), RFC 5382 §5 (what the timeouts mean).
 * Established means: both have sent a SYN, and whoever sent the first has acknowledged the other's; a SYN from outside that
 * only the inner host answers makes no long-lived session. Sequence numbers are not looked at: therefore a RST ends
 * nothing by itself, it shortens the time (RFC 7857 §2.2), and whatever else passes after it takes that back.
 */
import { TCP_FLAG } from '../ip/index.ts';

export const TCP_STATE = {
  synOut: 0x01,
  synIn: 0x02,
  finOut: 0x04,
  finIn: 0x08,
  reset: 0x10,
  /** The first SYN's sender has acknowledged the other one. */
  open: 0x20,
  /** The first packet came from outside. The one bit that UDP and ICMP sessions have, too. */
  fromOutside: 0x40,
} as const;

/** The state after a segment with these flags. */
export function advanceTcp(state: number, flags: number, outbound: boolean): number {
  if ((flags & TCP_FLAG.rst) !== 0) return state | TCP_STATE.reset;
  if ((flags & TCP_FLAG.syn) !== 0) {
    const syn = outbound ? TCP_STATE.synOut : TCP_STATE.synIn;
    const fresh = isNew(state) || (isOver(state) && (flags & TCP_FLAG.ack) === 0);
    if (!fresh) return state | syn;
    return outbound ? syn : syn | TCP_STATE.fromOutside;
  }
  let next = state & ~TCP_STATE.reset;
  const first = ((state & TCP_STATE.fromOutside) === 0) === outbound;
  if (first && (flags & TCP_FLAG.ack) !== 0 && (state & BOTH_SYN) === BOTH_SYN) next |= TCP_STATE.open;
  if ((flags & TCP_FLAG.fin) !== 0) next |= outbound ? TCP_STATE.finOut : TCP_STATE.finIn;
  return next;
}

/** The established idle timeout holds; else the transitory one. */
export const isEstablished = (state: number): boolean =>
  (state & (TCP_STATE.open | TCP_STATE.reset)) === TCP_STATE.open && (state & BOTH_FIN) !== BOTH_FIN;

/** Whether a segment may begin a connection. */
export const isOpening = (flags: number): boolean => (flags & OPENING) === TCP_FLAG.syn;

export function tcpStateName(state: number): string {
  if ((state & TCP_STATE.reset) !== 0) return 'reset';
  if ((state & BOTH_FIN) === BOTH_FIN) return 'closed';
  if ((state & BOTH_FIN) !== 0) return 'half-closed';
  return (state & TCP_STATE.open) !== 0 ? 'established' : 'opening';
}

const BOTH_SYN = TCP_STATE.synOut | TCP_STATE.synIn;
const BOTH_FIN = TCP_STATE.finOut | TCP_STATE.finIn;
const OPENING = TCP_FLAG.syn | TCP_FLAG.ack | TCP_FLAG.rst | TCP_FLAG.fin;

const isNew = (state: number): boolean => (state & BOTH_SYN) === 0;
/** Its ports may be used again (RFC 9293 §3.6.1). */
const isOver = (state: number): boolean => (state & TCP_STATE.reset) !== 0 || (state & BOTH_FIN) === BOTH_FIN;
