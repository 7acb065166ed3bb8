/**
 * A session as BGP4MP: every message that comes and goes, and every change of state. RFC 6396 §4.4, RFC 8050 §4.1.
 *
 * Tell it each event of the session with what the session made of it; it may begin in the middle of a session, and of a message. Octets are
 * framed anew here, so that what is wrong with a message does not keep it out of the file: what no framer takes is simply not a message.
 * Leaves to others: the file, and the time of day.
 * Limit: one incomplete message for each connection and direction.
 */
import type { Bytes } from '../../core/index.ts';
import type { Endpoint } from '../../ip/index.ts';
import type { ConnectionId, Negotiated, SessionAction, SessionEvent, SessionState } from '../contract.ts';
import { Framer } from '../message/frame.ts';
import { AS_TRANS, EXTENDED_MAXIMUM_LENGTH } from '../message/iana.ts';
import { presentedAs, type Session } from '../session/index.ts';
import { MRT_STATE } from './iana.ts';
import type { MrtRecord, MrtSession, MrtTime } from './types.ts';

interface Line {
  readonly local: Endpoint['address'];
  readonly remote: Endpoint['address'];
  readonly received: Framer;
  readonly sent: Framer;
}

export class SessionRecorder {
  readonly #session: Session;
  /** For changes of state without a connection. */
  readonly #ends: Pick<MrtSession, 'peer' | 'local'>;
  readonly #lines = new Map<ConnectionId, Line>();
  #state: SessionState;
  #negotiated: Negotiated | undefined;

  /** `ends`: who is meant while there is no connection, both addresses of one family. */
  constructor(session: Session, ends: Pick<MrtSession, 'peer' | 'local'>) {
    this.#session = session;
    this.#ends = ends;
    this.#state = session.state;
    for (const { id, local, remote, begun, negotiated } of session.lines()) {
      const line = lineOf(local, remote);
      line.received.push(begun);
      line.received.next();
      this.#lines.set(id, line);
      this.#negotiated ??= negotiated;
    }
  }

  /** After `session.handle(event)` has given `actions`. */
  take(event: SessionEvent, actions: readonly SessionAction[], time: MrtTime): MrtRecord[] {
    const records: MrtRecord[] = [];
    if (event.type === 'connected') this.#lines.set(event.connection, lineOf(event.local, event.remote));
    for (const action of actions) if (action.do === 'established') this.#negotiated = action.negotiated;
    if (event.type === 'received') records.push(...this.#messages(event.connection, event.octets, false, time));
    for (const action of actions)
      if (action.do === 'send') records.push(...this.#messages(action.connection, action.octets, true, time));
    for (const action of actions) if (action.do === 'close') this.#lines.delete(action.connection);
    records.push(...this.#change(time));
    if (event.type === 'closed') this.#lines.delete(event.connection);
    if (actions.some((action) => action.do === 'down')) this.#negotiated = undefined;
    return records;
  }

  #messages(connection: ConnectionId, octets: Bytes, sent: boolean, time: MrtTime): MrtRecord[] {
    const line = this.#lines.get(connection);
    if (line === undefined) return [];
    const framer = sent ? line.sent : line.received;
    framer.push(octets);
    const records: MrtRecord[] = [];
    for (let frame = framer.next(); frame?.ok === true; frame = framer.next()) {
      const context = sent ? this.#negotiated?.send : this.#negotiated?.receive;
      const fourOctetAs = context?.fourOctetAs ?? true;
      const addPath = (context?.addPath.length ?? 0) > 0;
      const message = frame.octets.slice();
      const who = fourOctetAs ? this.#who(line) : inTwoOctets(this.#who(line));
      records.push({ kind: 'message', time, ...who, fourOctetAs, addPath, sent, message });
    }
    return records;
  }

  #change(time: MrtTime): MrtRecord[] {
    const [from, to] = [this.#state, this.#session.state];
    this.#state = to;
    if (from === to) return [];
    const line = [...this.#lines.values()].at(-1);
    return [{ kind: 'state', time, ...this.#who(line), fourOctetAs: true, from: STATES[from], to: STATES[to] }];
  }

  #who(line: Line | undefined): MrtSession {
    const { configuration } = this.#session;
    const { remoteAs } = configuration;
    return {
      peerAs: this.#negotiated?.remoteAs ?? (typeof remoteAs === 'number' ? remoteAs : 0),
      localAs: presentedAs(configuration),
      interfaceIndex: 0,
      peer: line?.remote ?? this.#ends.peer,
      local: line?.local ?? this.#ends.local,
    };
  }
}

function lineOf(local: Endpoint, remote: Endpoint): Line {
  const [received, sent] = [new Framer(), new Framer()];
  received.maximumLength = sent.maximumLength = EXTENDED_MAXIMUM_LENGTH;
  return { local: local.address, remote: remote.address, received, sent };
}

/** RFC 6793 §4.2.2: AS_TRANS stands for what does not fit. */
const inTwoOctets = ({ peerAs, localAs, ...ends }: MrtSession): MrtSession => ({
  peerAs: peerAs > 0xffff ? AS_TRANS : peerAs,
  localAs: localAs > 0xffff ? AS_TRANS : localAs,
  ...ends,
});

const STATES: Readonly<Record<SessionState, number>> = {
  idle: MRT_STATE.IDLE,
  connect: MRT_STATE.CONNECT,
  active: MRT_STATE.ACTIVE,
  openSent: MRT_STATE.OPEN_SENT,
  openConfirm: MRT_STATE.OPEN_CONFIRM,
  established: MRT_STATE.ESTABLISHED,
};
