import { describe, expect, it } from 'vitest';
import type { SessionAction, SessionEvent } from '../../../src/bgp/contract.ts';
import { encodeControlMessage, IPV4_UNICAST, KEEPALIVE, notification } from '../../../src/bgp/message/index.ts';
import { openOf, Session, type SessionConfiguration, sessionConfiguration } from '../../../src/bgp/session/index.ts';
import { type Bytes, toHex } from '../../../src/core/index.ts';
import { TABLE } from './fsm-table.ts';

/** Jitter of exactly 1.0 is not to be had; this is 0.75. */
const random = (length: number): Bytes => new Uint8Array(length);
const ours = sessionConfiguration({ asn: 65001, identifier: 0x0a000001, remoteAs: 65002, routeRefresh: true });
const theirs = sessionConfiguration({ asn: 65002, identifier: 0x0a000002, remoteAs: 65001, routeRefresh: true });

const message = (type: number, ...body: number[]): Bytes => {
  const octets = new Uint8Array(19 + body.length).fill(0xff, 0, 16);
  octets.set([0, octets.length, type, ...body], 16);
  return octets;
};
const open = (c: SessionConfiguration = theirs): Bytes => encodeControlMessage(openOf(c, false));
const keepalive = encodeControlMessage(KEEPALIVE);
const update = message(2, 0, 0, 0, 0);
const end = (last: number, port: number) => ({ address: Uint8Array.of(192, 0, 2, last), port });

function connected(connection: number): SessionEvent {
  const direction = connection < 0 ? 'out' : 'in';
  return { type: 'connected', connection, direction, local: end(1, 179), remote: end(2, 179) };
}
const received = (connection: number, octets: Bytes): SessionEvent => ({ type: 'received', connection, octets });

const start: SessionEvent = { type: 'start' };

interface Way {
  readonly settings?: Partial<SessionConfiguration>;
  readonly events: readonly SessionEvent[];
  /** Where it is another: one that the peer has dialled. */
  readonly connection?: number;
}

/** Ways into each state; the connection that matters is -1. */
const STATES: Record<string, Way> = {
  Idle: { events: [] },
  'Idle, IdleHoldTimer running': { events: [start, connected(-1), received(-1, message(3, 6, 0))] },
  'Idle, path down': { events: [start, { type: 'path', up: false, why: 'tunnel' }] },
  Connect: { events: [start] },
  'Connect, DelayOpenTimer running': { settings: { delayOpenMillis: 5_000 }, events: [start, connected(-1)] },
  Active: { events: [start, { type: 'closed', connection: -1, why: 'refused' }] },
  'Active, DelayOpenTimer running': {
    settings: { delayOpenMillis: 5_000 },
    events: [start, { type: 'closed', connection: -1, why: 'refused' }, connected(1)],
    connection: 1,
  },
  OpenSent: { events: [start, connected(-1)] },
  OpenConfirm: { events: [start, connected(-1), received(-1, open())] },
  Established: { events: [start, connected(-1), received(-1, open()), received(-1, keepalive)] },
};

/** `due`: a tick at the deadline; a number: one so many seconds after the last event, nothing having happened meanwhile. */
type Happening = SessionEvent | 'due' | number;

const EVENTS: Record<string, Happening> = {
  '1 ManualStart': start,
  '2 ManualStop': { type: 'stop', subcode: 2 },
  '8 AutomaticStop (maximum prefixes)': {
    type: 'fault',
    notification: notification(6, 1),
    why: 'many',
    idleMillis: 1e6,
  },
  '8 AutomaticStop (path)': { type: 'path', up: false, why: 'tunnel' },
  'path is up': { type: 'path', up: true, why: 'tunnel' },
  '9-13 the next timer': 'due',
  '10 HoldTimer_Expires (negotiated)': 90,
  '10 HoldTimer_Expires (large)': 240,
  '16 Tcp_CR_Acked': connected(-1),
  '17 TcpConnectionConfirmed': connected(1),
  '18 TcpConnectionFails': { type: 'closed', connection: -1, why: 'reset' },
  '19 BGPOpen': received(-1, open()),
  '21 BGPHeaderErr': received(-1, message(9)),
  '22 BGPOpenMsgErr': received(-1, open(sessionConfiguration({ ...theirs, asn: 65003 }))),
  '24 NotifMsgVerErr': received(-1, message(3, 2, 1, 0, 4)),
  '25 NotifMsg': received(-1, message(3, 6, 4)),
  '26 KeepAliveMsg': received(-1, keepalive),
  '27 UpdateMsg': received(-1, update),
  '28 UpdateMsgErr': { type: 'fault', notification: notification(3, 1), why: 'list' },
  'ROUTE-REFRESH': received(-1, message(5, 0, 1, 0, 1)),
  'the tables send': { type: 'transmit', octets: update },
};

function inState(name: string): { session: Session; now: number } {
  const { settings, events } = STATES[name]!;
  const session = new Session({ ...ours, ...settings }, random);
  let now = 1_000;
  for (const event of events) session.handle(event, now++);
  return { session, now };
}

/** `dial -1`, `send -1 NOTIFICATION 6/2`, `close -1`. */
function wordOf(action: SessionAction): string {
  switch (action.do) {
    case 'dial':
      return `dial ${action.connection}`;
    case 'send':
      return `send ${action.connection} ${messageWord(action.octets)}`;
    case 'close':
      return `${action.abort ? 'abort' : 'close'} ${action.connection}`;
    case 'down':
      return `down ${action.retain.length}`;
    case 'refresh':
      return `refresh ${action.family === IPV4_UNICAST ? 'IPv4' : action.family}`;
    default:
      return action.do;
  }
}

function messageWord(octets: Bytes): string {
  const name = ['', 'OPEN', 'UPDATE', 'NOTIFICATION', 'KEEPALIVE', 'ROUTE-REFRESH'][octets[18]!];
  if (octets[18] !== 3) return name!;
  const data = toHex(octets.subarray(21));
  return `${name} ${octets[19]}/${octets[20]}${data === '' ? '' : ` ${data}`}`;
}

/** Events of the connection that matters; what is new is a further one. */
function ofConnection(event: SessionEvent, state: string): SessionEvent {
  const { connection } = STATES[state]!;
  if (connection === undefined || !('connection' in event)) return event;
  if (event.type === 'connected') return event.direction === 'in' ? connected(connection + 1) : event;
  return { ...event, connection };
}

function outcome(state: string, event: Happening): string {
  const { session, now } = inState(state);
  const due = session.deadline();
  if (event === 'due' && due === undefined) return 'none runs';
  const at = event === 'due' ? due!.at : typeof event === 'number' ? now - 1 + event * 1000 : now;
  const actions = session.handle(typeof event === 'object' ? ofConnection(event, state) : { type: 'tick' }, at);
  const done = actions.filter((a) => a.do !== 'log').map(wordOf);
  const next = session.deadline();
  const timer = next === undefined ? '' : `, ${next.why} in ${(next.at - at) / 1000} s`;
  const why = event === 'due' ? `${due!.why}: ` : '';
  return `${why}${done.length === 0 ? 'nothing' : done.join(', ')} → ${session.state}${timer}`;
}

describe('RFC 4271 §8.2.2: every event in every state', () => {
  it.each(Object.keys(STATES))('%s', (state) => {
    const table = Object.entries(EVENTS).map(([name, event]) => `${name}: ${outcome(state, event)}`);
    expect(`\n${table.join('\n')}\n`).toBe(TABLE[state]);
  });
});
