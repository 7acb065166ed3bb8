/** Sessions as people see them, and which of them a filter names. */
import { IP_PROTOCOL } from '../ip/index.ts';
import type { NatSessionFilter, NatSessionView } from './contract.ts';
import { ROW, type SessionTable } from './sessions.ts';
import { TCP_STATE, tcpStateName } from './tcp-state.ts';

/** The session in a row that is in use, at `now` on the clock of its expiry. */
export function viewOf(table: SessionTable, row: number, now: number): NatSessionView {
  const word = (index: number): number => table.word(row, index);
  const flow = word(ROW.flow);
  const protocol = (flow >>> 8) & 0xff;
  const packetsIn = word(ROW.packetsIn) >>> 0;
  const answered = packetsIn > 0 && word(ROW.packetsOut) !== 0;
  return {
    protocol,
    innerAddress: word(ROW.inner) >>> 0,
    innerPort: word(ROW.ports) >>> 16,
    externalPort: word(ROW.ports) & 0xffff,
    remoteAddress: word(ROW.remote) >>> 0,
    remotePort: flow >>> 16,
    state: protocol === IP_PROTOCOL.tcp ? tcpStateName(flow & 0xff) : answered ? 'answered' : 'unanswered',
    fromOutside: (flow & TCP_STATE.fromOutside) !== 0,
    secondsLeft: Math.max(0, Math.ceil(((word(ROW.expires) - now) | 0) / 1000)),
    packetsOut: word(ROW.packetsOut) >>> 0,
    octetsOut: (word(ROW.octetsHigh) >>> 16) * 2 ** 32 + (word(ROW.octetsOut) >>> 0),
    packetsIn,
    octetsIn: (word(ROW.octetsHigh) & 0xffff) * 2 ** 32 + (word(ROW.octetsIn) >>> 0),
  };
}

export const matches = (view: NatSessionView, filter: NatSessionFilter): boolean =>
  Object.entries(filter).every(([name, value]) => value === undefined || view[name as keyof NatSessionView] === value);
