/**
 * A BGP speaker: the sessions with its peers and the tables between them, as one machine.
 *
 * Read first: RFC 4271 §3, §9; RFC 4724 §4; RFC 7313; RFC 9494 §4. The session says what is Established and what may stay stale, the
 * tables what is chosen and what each peer is owed; here is who is given what, and when stale routes go.
 * A peer is given at most WINDOW octets that its transport has not taken: a slow one waits in the tables, where its queue is bounded, and
 * slows nobody. After each event what has changed is decided once: of much (a session with a full feed is lost, a next hop goes) a part at
 * each `tick`, which is due at once, so that whoever calls has time for others.
 * Invariants: a peer that is not Established is given nothing; the time of stale routes is finite.
 */
import { concat, type Deadline, earliest, type Machine, type Millis, type Random } from '../core/index.ts';
import type { Prefix } from '../ip/index.ts';
import type { Negotiated, SessionAction, SessionEvent } from './contract.ts';
import { SelectionDeferral } from './deferral.ts';
import {
  CEASE,
  describeFamily,
  ERROR,
  encodeControlMessage,
  type Family,
  type NotificationMessage,
  REFRESH,
} from './message/index.ts';
import { ABSENT, changeable, optionsOf, type PeerSettings, restartFamilies } from './peer-settings.ts';
import type { RibEvent } from './rib/intake.ts';
import type { RibOptions } from './rib/options.ts';
import { isPaced } from './rib/peer.ts';
import { Rib } from './rib/rib.ts';
import { Session, type Watch } from './session/index.ts';
import type { SessionRecord, SpeakerAction, SpeakerEvent } from './speaker-contract.ts';
import { type Entry, newEntry } from './speaker-entry.ts';
import { longLived, lost, missed, outlivesLoss, type Retained, type Stale, spoken } from './stale.ts';

/** What is decided after one event, and what forwards is told of: a few milliseconds. */
export const DECIDED_AT_ONCE = 8192;
export const ROUTES_AT_ONCE = 4096;

/** Octets given to a transport that it has not taken. */
export const WINDOW = 262_144;

export class Speaker implements Machine<SpeakerEvent, SpeakerAction> {
  readonly rib: Rib;
  /** Of every session, messages as they pass. */
  watch: ((peer: string, ...message: Parameters<Watch>) => void) | undefined;
  /** Asked before a session is told of an event; the answer is told what the session made of it. */
  record: ((peer: string, session: Session) => SessionRecord | undefined) | undefined;
  readonly #random: Random;
  readonly #entries = new Map<string, Entry>();
  #deferral: SelectionDeferral | undefined;
  #actions: SpeakerAction[] = [];
  /** Something waits for its turn, since then. */
  #owedSince: Millis | undefined;

  constructor(options: RibOptions, random: Random) {
    this.rib = new Rib(options);
    this.#random = random;
  }

  handle(event: SpeakerEvent, now: Millis): readonly SpeakerAction[] {
    this.#actions = [];
    switch (event.type) {
      case 'session':
        this.#toSession(event.peer, event.event, now);
        break;
      case 'add-peer':
        this.#add(event.peer);
        break;
      case 'configure-peer':
        this.#configure(event.peer, now);
        break;
      case 'remove-peer':
        this.#remove(event.peer, event.text, now);
        break;
      case 'refresh':
        this.#refresh(event.peer, event.direction, now);
        break;
      case 'restarted':
        this.#deferral = new SelectionDeferral(this.rib.defer(), now + event.deferralMillis);
        break;
      case 'next-hops':
        this.rib.nextHopsChanged();
        break;
      case 'tick':
        this.#tick(now);
    }
    const isDrained = event.type === 'session' && event.event.type === 'drained';
    const waits = this.#owedSince !== undefined && event.type !== 'tick';
    if (isDrained && (waits || this.rib.isSettled)) this.#feedOne(event.peer, now);
    else if (waits) this.#feedAll(now);
    else this.#settle(now);
    return this.#actions;
  }

  deadline(): Deadline | undefined {
    let next: Deadline | undefined;
    if (this.#owedSince !== undefined) next = { at: this.#owedSince, why: 'changes of routes wait for their turn' };
    for (const entry of this.#entries.values()) {
      const { session, stale, unanswered } = entry;
      next = earliest(next, session.deadline());
      for (const { until } of stale.values()) next = earliest(next, { at: until, why: 'stale routes are given up' });
      next = earliest(next, unanswered.deadline());
      const at = this.#nextRound(entry);
      if (at !== undefined) next = earliest(next, { at, why: 'minimum route advertisement interval' });
    }
    const { deferredUntil } = this;
    if (deferredUntil !== undefined) next = earliest(next, { at: deferredUntil, why: 'routes are chosen' });
    const { reuseAt } = this.rib;
    if (reuseAt !== undefined) next = earliest(next, { at: reuseAt, why: 'damped routes are looked at' });
    return next;
  }

  /** The time by which routes are chosen at the latest, while that is put off (RFC 4724 §4.1). */
  get deferredUntil(): Millis | undefined {
    return this.#deferral?.until;
  }

  /** When a peer is told of what it is kept from meanwhile (RFC 4271 §9.2.1.1); undefined: of nothing. */
  advertisesAt(peer: string): Millis | undefined {
    const entry = this.#entries.get(peer);
    return entry && this.#nextRound(entry);
  }

  #nextRound({ number, settings, pace }: Entry): Millis | undefined {
    return number === undefined || !isPaced(settings) ? undefined : pace.nextRound(number, this.rib.spokenTo(number));
  }

  /** Names of the peers, in the order they came. */
  get peers(): readonly string[] {
    return [...this.#entries.keys()];
  }

  session(peer: string): Session | undefined {
    return this.#entries.get(peer)?.session;
  }

  settings(peer: string): PeerSettings | undefined {
    return this.#entries.get(peer)?.settings;
  }

  /** What the session has settled; undefined unless Established. */
  negotiated(peer: string): Negotiated | undefined {
    return this.#entries.get(peer)?.negotiated;
  }

  /** Its number in the tables; undefined where they have nothing of it. */
  number(peer: string): number | undefined {
    return this.#entries.get(peer)?.number;
  }

  /** Routes of our own; told at the next event, of which a `tick` will do. */
  originate(prefix: Prefix, how: Parameters<Rib['originate']>[1]): void {
    this.rib.originate(prefix, how);
  }

  withdraw(prefix: Prefix): void {
    this.rib.withdraw(prefix);
  }

  /** Routes of our own that stand for more specific ones; as with `originate`. */
  aggregate(wanted: Parameters<Rib['aggregate']>[0]): void {
    this.rib.aggregate(wanted);
  }

  #add(settings: PeerSettings): void {
    if (this.#entries.has(settings.name)) return;
    const session = new Session(settings.session, this.#random);
    session.watch = (...message) => this.watch?.(settings.name, ...message);
    this.#entries.set(settings.name, newEntry(settings, session));
  }

  #configure(settings: PeerSettings, now: Millis): void {
    const entry = this.#entries.get(settings.name);
    if (entry === undefined) return;
    const asksAgain = entry.settings.enforceFirstAs !== settings.enforceFirstAs;
    if (isPaced(entry.settings) !== isPaced(settings)) entry.pace.clear();
    entry.settings = settings;
    if (entry.number === undefined) return;
    const said = this.rib.configure(entry.number, { ...ABSENT, ...changeable(settings) });
    for (const each of said) this.#said(settings.name, entry, each, now);
    // What it has refused is not in Adj-RIB-In.
    if (asksAgain) this.#refresh(settings.name, 'in', now);
  }

  #remove(name: string, text: string | undefined, now: Millis): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    const stop = { type: 'stop', subcode: CEASE.PEER_DECONFIGURED } as const;
    this.#step(name, entry, text === undefined ? stop : { ...stop, text }, now);
    if (entry.number !== undefined) this.rib.remove(entry.number);
    this.#entries.delete(name);
  }

  #refresh(name: string, direction: 'in' | 'out', now: Millis): void {
    const entry = this.#entries.get(name);
    if (entry?.negotiated === undefined || entry.number === undefined) return;
    const { negotiated } = entry;
    for (const family of negotiated.families) {
      if (direction === 'out') this.rib.refresh(entry.number, family);
      else if (negotiated.routeRefresh) {
        const request = encodeControlMessage({ kind: 'routeRefresh', family, subtype: REFRESH.REQUEST });
        this.#transmit(name, entry, request, now);
        entry.unanswered.asked(family, negotiated, now);
      }
    }
  }

  #toSession(name: string, event: SessionEvent, now: Millis): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    if (event.type === 'drained' && event.connection === entry.connection) entry.queued = event.queued;
    this.#step(name, entry, event, now);
  }

  #step(name: string, entry: Entry, event: SessionEvent, now: Millis): void {
    const record = this.record?.(name, entry.session);
    const actions = entry.session.handle(event, now);
    record?.(event, actions);
    this.#perform(name, entry, actions, now);
  }

  #perform(name: string, entry: Entry, actions: readonly SessionAction[], now: Millis): void {
    for (const action of actions) {
      switch (action.do) {
        case 'dial':
        case 'send':
        case 'close':
          this.#actions.push({ do: 'session', peer: name, action });
          break;
        case 'established':
          this.#established(entry, action, now);
          break;
        case 'update':
          if (entry.number !== undefined && entry.negotiated !== undefined)
            for (const said of this.rib.receive(entry.number, action.octets, now)) this.#said(name, entry, said, now);
          break;
        case 'refresh':
          this.#asked(entry, action.family, action.subtype, now);
          break;
        case 'down':
          this.#log(name, 'down', action.why);
          this.#down(entry, action.retain, now);
          break;
        case 'log':
          if (action.kind === undefined) this.#log(name, action.event, action.why);
          else this.#logSeldom(entry, action.event, action.why, now, action.kind);
      }
    }
  }

  #established(
    entry: Entry,
    { connection, negotiated, preserved }: Extract<SessionAction, { do: 'established' }>,
    now: Millis,
  ): void {
    entry.negotiated = negotiated;
    entry.connection = connection;
    entry.queued = 0;
    entry.awaited.clear();
    entry.unanswered.clear();
    entry.pace.clear();
    entry.seldom.clear();
    this.#deferral?.established(entry.settings.name, negotiated);
    for (const family of restartFamilies(negotiated)) entry.awaited.add(family);
    const options = optionsOf(entry.settings, negotiated);
    if (entry.number === undefined) {
      entry.number = this.rib.add(options);
      return;
    }
    this.rib.resume(entry.number, options);
    for (const [family, old] of entry.stale) {
      if (preserved.includes(family)) entry.stale.set(family, spoken('down', old, now));
      else this.#sweep(entry, family);
    }
  }

  #down(entry: Entry, retained: readonly Retained[], now: Millis): void {
    entry.negotiated = undefined;
    entry.unanswered.clear();
    const { number } = entry;
    if (number === undefined) return;
    // RFC 9494 §4.2: whose long-lived time has ended before End-of-RIB is not retained again.
    const retain = retained.filter(({ family }) => !entry.expired.has(family));
    entry.expired.clear();
    if (retain.length === 0) {
      entry.stale.clear();
      this.rib.remove(number);
      entry.number = undefined;
      return;
    }
    const before = new Map(entry.stale);
    entry.stale.clear();
    for (const [family, stale] of before) {
      const again = retain.find((each) => each.family === family);
      if (!outlivesLoss(stale, again)) this.rib.sweepStale(number, family);
    }
    this.rib.down(
      number,
      retain.map(({ family }) => family),
    );
    for (const each of retain) entry.stale.set(each.family, lost(each, before.get(each.family), now));
  }

  #said(name: string, entry: Entry, said: RibEvent, now: Millis): void {
    switch (said.type) {
      case 'fault':
        return this.#fault(name, entry, said.notification, said.why, now);
      case 'endOfRib':
        this.#deferral?.heard(name, said.family);
        entry.awaited.delete(said.family);
        entry.expired.delete(said.family);
        if (entry.stale.get(said.family)?.since === 'down') this.#sweep(entry, said.family);
        return this.#logSeldom(entry, 'end of rib', describeFamily(said.family), now, said.family);
      case 'treated':
        return this.#logSeldom(entry, TREATED[said.treatment], said.why, now);
      case 'nearLimit': {
        const words = `${said.prefixes} of ${said.maximum}`;
        return this.#logSeldom(entry, 'near the limit of prefixes', words, now, said.family);
      }
    }
  }

  /** What is left of the octets at hand belongs to a session that has ended, and the session keeps it from us. */
  #fault(name: string, entry: Entry, notification: NotificationMessage, why: string, now: Millis): void {
    const event = { type: 'fault', notification, why } as const;
    const overLimit = notification.code === ERROR.CEASE && notification.subcode === CEASE.MAXIMUM_PREFIXES;
    const idleMillis = overLimit ? (entry.settings.restartMillis ?? Number.POSITIVE_INFINITY) : undefined;
    const told = idleMillis === undefined ? event : { ...event, idleMillis };
    this.#step(name, entry, told, now);
  }

  /** ROUTE-REFRESH of the peer: a question, or the two ends of its answer. */
  #asked(entry: Entry, family: Family, subtype: number, now: Millis): void {
    const { number, negotiated } = entry;
    if (number === undefined || negotiated === undefined) return;
    if (subtype === REFRESH.END) {
      // RFC 7313 §4: one without a beginning is not heeded.
      if (entry.stale.get(family)?.since !== 'refresh') return;
      this.#sweep(entry, family);
      return this.#logSeldom(entry, 'refreshed', describeFamily(family), now, family);
    }
    if (subtype === REFRESH.BEGIN) {
      entry.unanswered.answered(family);
      // RFC 7313 §4: where the peer has graceful restart.
      if (entry.awaited.has(family)) {
        const why = `${describeFamily(family)}: it began before End-of-RIB`;
        return this.#logSeldom(entry, 'refresh not heeded', why, now, family);
      }
      this.rib.markStale(number, family);
      entry.stale.set(family, spoken('refresh', undefined, now));
      return;
    }
    const around = (mark: number) =>
      negotiated.enhancedRouteRefresh ? [encodeControlMessage({ kind: 'routeRefresh', family, subtype: mark })] : [];
    this.rib.refresh(number, family, around(REFRESH.BEGIN), around(REFRESH.END));
  }

  #sweep(entry: Entry, family: Family): void {
    entry.stale.delete(family);
    if (entry.number !== undefined) this.rib.sweepStale(entry.number, family);
  }

  #tick(now: Millis): void {
    this.rib.reuse(now);
    for (const [name, entry] of this.#entries) {
      const due = entry.session.deadline();
      if (due !== undefined && due.at <= now) this.#step(name, entry, { type: 'tick' }, now);
      for (const [family, stale] of entry.stale) if (stale.until <= now) this.#overdue(name, entry, family, stale, now);
      for (const family of entry.unanswered.takeOverdue(now))
        this.#log(name, 'refresh not answered', `${describeFamily(family)}: no Begin-of-RR (RFC 7313 §4)`);
      if (entry.negotiated === undefined && entry.stale.size === 0 && entry.number !== undefined) {
        this.rib.remove(entry.number);
        entry.number = undefined;
      }
    }
  }

  /** Stale routes have waited long enough. */
  #overdue(name: string, entry: Entry, family: Family, stale: Stale, now: Millis): void {
    const { since, next, longLivedUntil } = stale;
    if (next === 'long-lived' && entry.number !== undefined) {
      this.rib.keepLongLived(entry.number, family);
      entry.stale.set(family, longLived(stale, now));
      return;
    }
    if (entry.negotiated !== undefined && longLivedUntil !== undefined && longLivedUntil <= now)
      entry.expired.add(family);
    this.#sweep(entry, family);
    const why = `${describeFamily(family)}: ${missed(entry.negotiated !== undefined, since)} in time`;
    this.#log(name, 'stale routes removed', why);
  }

  /** Decides, tells the peers, and what forwards. */
  #settle(now: Millis): void {
    this.#choose(now);
    const decided = this.rib.flush(DECIDED_AT_ONCE);
    this.#feedAll(now);
    const changes = this.rib.takeRoutes(ROUTES_AT_ONCE);
    if (changes.length > 0) this.#actions.push({ do: 'routes', changes });
    this.#owedSince = decided && this.rib.routesWaiting === 0 ? undefined : now;
  }

  #feedAll(now: Millis): void {
    for (const [name, entry] of this.#entries) this.#feed(name, entry, now);
  }

  #choose(now: Millis): void {
    for (const { family, why } of this.#deferral?.ended([...this.#entries.values()], now) ?? []) {
      this.rib.choose(family);
      this.#actions.push({ do: 'chosen', family, why });
    }
    if (this.#deferral?.isOver === true) this.#deferral = undefined;
  }

  /** Room with one transport gives nothing to the others: hundreds of peers each take hundreds of times. */
  #feedOne(name: string, now: Millis): void {
    const entry = this.#entries.get(name);
    if (entry !== undefined) this.#feed(name, entry, now);
  }

  #feed(name: string, entry: Entry, now: Millis): void {
    const { number, pace, settings, session } = entry;
    const { advertisementMillis: interval = 0 } = settings;
    if (interval > 0 && number !== undefined) pace.begin(number, this.rib.spokenTo(number), now);
    while (entry.negotiated !== undefined && entry.number !== undefined && entry.queued < WINDOW) {
      const octets = this.rib.take(entry.number, WINDOW - entry.queued);
      if (octets.length === 0) return pace.end(now, () => session.jitter(interval));
      this.#transmit(name, entry, octets.length === 1 ? octets[0]! : concat(...octets), now);
    }
  }

  #transmit(name: string, entry: Entry, octets: Uint8Array, now: Millis): void {
    entry.queued += octets.length;
    this.#step(name, entry, { type: 'transmit', octets }, now);
  }

  #logSeldom(entry: Entry, event: string, why: string, now: Millis, kind: string | Family = 0): void {
    const words = entry.seldom.words(`${event} ${kind}`, why, now);
    if (words !== undefined) this.#log(entry.settings.name, event, words);
  }

  #log(peer: string, event: string, why: string): void {
    this.#actions.push({ do: 'log', peer, event, why });
  }
}

/** RFC 7606. */
const TREATED = { discard: 'attribute discarded', withdraw: 'treated as withdraw' } as const;
