/**
 * Who records the sessions of BGP peers, as MRT: each message and each change of state from now on (RFC 6396 §4.4).
 *
 * Where nobody records, an event of a session costs one comparison. Leaves to others: the time of day, and what to do about a slow reader.
 * Invariant: a recorder has seen every event of its session since it began; where it might not have, there is a new one.
 */
import { type MrtRecord, type Session, type SessionRecord, SessionRecorder } from '../../bgp/index.ts';

export interface Recorded {
  /** Undefined: all of the tenant. */
  readonly peer: string | undefined;
  readonly tenant: string;
}

type Ends = ConstructorParameters<typeof SessionRecorder>[1];

/** Without the time, which is not known here. */
export type Tell = (tenant: string, peer: string, records: readonly MrtRecord[]) => void;

export class BgpRecordings {
  readonly #wanted = new Map<number, Recorded>();
  readonly #tell: Tell;
  #recorders = new WeakMap<Session, SessionRecorder>();

  constructor(tell: Tell) {
    this.#tell = tell;
  }

  set(query: number, wanted: Recorded): void {
    this.#wanted.set(query, wanted);
  }

  end(query: number): void {
    this.#wanted.delete(query);
    this.#recorders = new WeakMap();
  }

  /** To be asked before the session is told of an event. `ends`: who is meant while there is no connection. */
  of(tenant: string, peer: string, session: Session, ends: () => Ends | undefined): SessionRecord | undefined {
    if (this.#wanted.size === 0 || !this.#wants(tenant, peer)) return undefined;
    const recorder = this.#recorders.get(session) ?? this.#begin(session, ends());
    if (recorder === undefined) return undefined;
    return (event, actions) => {
      const records = recorder.take(event, actions, UNTIMED);
      if (records.length > 0) this.#tell(tenant, peer, records);
    };
  }

  #begin(session: Session, ends: Ends | undefined): SessionRecorder | undefined {
    if (ends === undefined) return undefined;
    const recorder = new SessionRecorder(session, ends);
    this.#recorders.set(session, recorder);
    return recorder;
  }

  #wants(tenant: string, peer: string): boolean {
    for (const wanted of this.#wanted.values()) if (records(wanted, tenant, peer)) return true;
    return false;
  }
}

export const records = (wanted: Recorded, tenant: string, peer: string): boolean =>
  wanted.tenant === tenant && (wanted.peer ?? peer) === peer;

const UNTIMED = { seconds: 0 };
