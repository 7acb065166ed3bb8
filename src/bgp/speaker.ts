/**
 * A BGP speaker: the sessions with its peers and the tables between them, as one machine.
 *
 * Read first: RFC 4271 §3, §9; RFC 4724 §4; RFC 7313; RFC 9494 §4. The session says what is Established and what may stay stale, the
 * tables what is chosen and what each peer is owed; here is who is given what, and when stale routes go.
 * A peer is given at most WINDOW octets that its transport has not taken: a slow one waits in the tables, where its queue is bounded, and
 * slows nobody. After each event everything that has changed is decided once.
 * Deliberate limits: no MinRouteAdvertisementInterval (as other speakers by default: RFC 4271 §9.2.1.1 lets it be set, and zero is what
 * labs and data centres use); a restarting speaker does not wait with its choice for all End-of-RIBs.
 * Invariants: a peer that is not Established is given nothing; the time of stale routes is finite.
 */
import { concat, type Deadline, earliest, type Machine, type Millis, type Random } from '../core/index.ts';
import type { Prefix } from '../ip/index.ts';
import type { ConnectionId, Negotiated, SessionAction, SessionEvent } from './contract.ts';
import { CEASE, describeFamily, encodeControlMessage, type Family, type NotificationMessage } from './message/index.ts';
import { ABSENT, changeable, optionsOf, type PeerSettings, restartFamilies } from './peer-settings.ts';
import type { RouteChange } from './rib/fib.ts';
import type { RibEvent } from './rib/intake.ts';
import type { RibOptions } from './rib/options.ts';
import { Rib } from './rib/rib.ts';
import { Session, type Watch } from './session/index.ts';

export type SpeakerEvent =
  | { readonly type: 'session'; readonly peer: string; readonly event: Exclude<SessionEvent, { type: 'tick' }> }
  | { readonly type: 'add-peer'; readonly peer: PeerSettings }
  /** What does not touch the session is another now: policies, limits. */
  | { readonly type: 'configure-peer'; readonly peer: PeerSettings }
  /** With what the operator says of it; its routes go at once. */
  | { readonly type: 'remove-peer'; readonly peer: string; readonly text?: string }
  /** Asks the peer for everything again (RFC 2918), or tells it everything again. */
  | { readonly type: 'refresh'; readonly peer: string; readonly direction: 'in' | 'out' }
  /** Ways to next hops may have changed. */
  | { readonly type: 'next-hops' }
  | { readonly type: 'tick' };

export type SpeakerAction =
  | {
      readonly do: 'session';
      readonly peer: string;
      readonly action: Extract<SessionAction, { do: 'dial' | 'send' | 'close' }>;
    }
  /** What changes in the FIB. */
  | { readonly do: 'routes'; readonly changes: readonly RouteChange[] }
  | { readonly do: 'log'; readonly peer: string; readonly event: string; readonly why: string };

/** Octets given to a transport that it has not taken. */
export const WINDOW = 262_144;
/** How long stale routes wait for End-of-RIB or End-of-RR, once the peer speaks again (RFC 4724 §4.2, RFC 7313 §4). */
export const STALE_MILLIS: Millis = 360_000;

interface Stale {
  /** Of a restart: End-of-RIB ends it; of a refresh: End-of-RR. */
  readonly since: 'down' | 'refresh';
  readonly until: Millis;
  /** What comes then. */
  readonly next: 'sweep' | 'long-lived';
  readonly longLivedMillis: number;
}

interface Entry {
  settings: PeerSettings;
  session: Session;
  /** Among the tables' peers, as long as they have something of it. */
  number: number | undefined;
  negotiated: Negotiated | undefined;
  /** Of the transport of `connection`, the one that is Established. */
  queued: number;
  connection: ConnectionId | undefined;
  readonly stale: Map<Family, Stale>;
  /** Families whose End-of-RIB a peer with graceful restart has not said yet. */
  readonly awaited: Set<Family>;
  /** When what was said last, in this session. */
  readonly spoken: Map<string, { readonly at: Millis; untold: number }>;
}

export class Speaker implements Machine<SpeakerEvent, SpeakerAction> {
  readonly rib: Rib;
  /** Of every session, messages as they pass. */
  watch: ((peer: string, ...message: Parameters<Watch>) => void) | undefined;
  readonly #random: Random;
  readonly #entries = new Map<string, Entry>();
  #actions: SpeakerAction[] = [];

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
      case 'next-hops':
        this.rib.nextHopsChanged();
        break;
      case 'tick':
        this.#tick(now);
    }
    const isDrained = event.type === 'session' && event.event.type === 'drained';
    if (isDrained && this.rib.isSettled) this.#feedOne(event.peer, now);
    else this.#settle(now);
    return this.#actions;
  }

  deadline(): Deadline | undefined {
    let next: Deadline | undefined;
    for (const { session, stale } of this.#entries.values()) {
      next = earliest(next, session.deadline());
      for (const { until } of stale.values()) next = earliest(next, { at: until, why: 'stale routes are given up' });
    }
    const { reuseAt } = this.rib;
    if (reuseAt !== undefined) next = earliest(next, { at: reuseAt, why: 'damped routes are looked at' });
    return next;
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
    this.#entries.set(settings.name, {
      settings,
      session,
      number: undefined,
      negotiated: undefined,
      queued: 0,
      connection: undefined,
      stale: new Map(),
      awaited: new Set(),
      spoken: new Map(),
    });
  }

  #configure(settings: PeerSettings, now: Millis): void {
    const entry = this.#entries.get(settings.name);
    if (entry === undefined) return;
    const asksAgain = entry.settings.enforceFirstAs !== settings.enforceFirstAs;
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
    this.#perform(name, entry, entry.session.handle(text === undefined ? stop : { ...stop, text }, now), now);
    if (entry.number !== undefined) this.rib.remove(entry.number);
    this.#entries.delete(name);
  }

  #refresh(name: string, direction: 'in' | 'out', now: Millis): void {
    const entry = this.#entries.get(name);
    if (entry?.negotiated === undefined || entry.number === undefined) return;
    for (const family of entry.negotiated.families) {
      if (direction === 'out') this.rib.refresh(entry.number, family);
      else if (entry.negotiated.routeRefresh)
        this.#transmit(name, entry, encodeControlMessage({ kind: 'routeRefresh', family, subtype: 0 }), now);
    }
  }

  #toSession(name: string, event: SessionEvent, now: Millis): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    if (event.type === 'drained' && event.connection === entry.connection) entry.queued = event.queued;
    this.#perform(name, entry, entry.session.handle(event, now), now);
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
          this.#log(name, action.event, action.why);
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
    entry.spoken.clear();
    for (const family of restartFamilies(negotiated)) entry.awaited.add(family);
    const options = optionsOf(entry.settings, negotiated);
    if (entry.number === undefined) {
      entry.number = this.rib.add(options);
      return;
    }
    this.rib.resume(entry.number, options);
    for (const family of entry.stale.keys()) {
      if (preserved.includes(family)) this.#keep(entry, family, 'down', now + STALE_MILLIS);
      else this.#sweep(entry, family);
    }
  }

  #down(entry: Entry, retain: Extract<SessionAction, { do: 'down' }>['retain'], now: Millis): void {
    entry.negotiated = undefined;
    const { number } = entry;
    if (number === undefined) return;
    // RFC 4724 §4.2: what was stale already goes when the peer restarts once more.
    for (const [family, { since }] of entry.stale) if (since === 'down') this.rib.sweepStale(number, family);
    entry.stale.clear();
    if (retain.length === 0) {
      this.rib.remove(number);
      entry.number = undefined;
      return;
    }
    this.rib.down(
      number,
      retain.map(({ family }) => family),
    );
    for (const { family, millis, longLivedMillis } of retain) {
      const next = longLivedMillis > 0 ? 'long-lived' : 'sweep';
      entry.stale.set(family, { since: 'down', until: now + millis, next, longLivedMillis });
    }
  }

  #said(name: string, entry: Entry, said: RibEvent, now: Millis): void {
    switch (said.type) {
      case 'fault':
        return this.#fault(name, entry, said.notification, said.why, now);
      case 'endOfRib':
        entry.awaited.delete(said.family);
        if (entry.stale.get(said.family)?.since === 'down') this.#sweep(entry, said.family);
        return this.#logSeldom(name, entry, 'end of rib', describeFamily(said.family), now, said.family);
      case 'treated':
        return this.#logSeldom(name, entry, TREATED[said.treatment], said.why, now);
      case 'nearLimit':
        return this.#log(name, 'near the limit of prefixes', `${said.prefixes} of ${said.maximum}`);
    }
  }

  /** What is left of the octets at hand belongs to a session that has ended, and the session keeps it from us. */
  #fault(name: string, entry: Entry, notification: NotificationMessage, why: string, now: Millis): void {
    const event = { type: 'fault', notification, why } as const;
    const overLimit = notification.code === CEASE_CODE && notification.subcode === CEASE.MAXIMUM_PREFIXES;
    const idleMillis = overLimit ? (entry.settings.restartMillis ?? Number.POSITIVE_INFINITY) : undefined;
    const told = idleMillis === undefined ? event : { ...event, idleMillis };
    this.#perform(name, entry, entry.session.handle(told, now), now);
  }

  /** ROUTE-REFRESH of the peer: a question, or the two ends of its answer. */
  #asked(entry: Entry, family: Family, subtype: number, now: Millis): void {
    const { number, negotiated } = entry;
    if (number === undefined || negotiated === undefined) return;
    if (subtype === REFRESH.end) {
      // RFC 7313 §4: one without a beginning is not heeded.
      if (entry.stale.get(family)?.since === 'refresh') this.#sweep(entry, family);
      return;
    }
    if (subtype === REFRESH.begin) {
      // RFC 7313 §4: where the peer has graceful restart.
      if (entry.awaited.has(family))
        return this.#logSeldom(
          entry.settings.name,
          entry,
          'refresh not heeded',
          `${describeFamily(family)}: it began before End-of-RIB`,
          now,
          family,
        );
      this.rib.markStale(number, family);
      return this.#keep(entry, family, 'refresh', now + STALE_MILLIS);
    }
    const around = (mark: number) =>
      negotiated.enhancedRouteRefresh ? [encodeControlMessage({ kind: 'routeRefresh', family, subtype: mark })] : [];
    this.rib.refresh(number, family, around(REFRESH.begin), around(REFRESH.end));
  }

  #keep(entry: Entry, family: Family, since: Stale['since'], until: Millis): void {
    entry.stale.set(family, { since, until, next: 'sweep', longLivedMillis: 0 });
  }

  #sweep(entry: Entry, family: Family): void {
    entry.stale.delete(family);
    if (entry.number !== undefined) this.rib.sweepStale(entry.number, family);
  }

  #tick(now: Millis): void {
    this.rib.reuse(now);
    for (const [name, entry] of this.#entries) {
      const due = entry.session.deadline();
      if (due !== undefined && due.at <= now)
        this.#perform(name, entry, entry.session.handle({ type: 'tick' }, now), now);
      for (const [family, { since, until, next, longLivedMillis }] of entry.stale) {
        if (until > now) continue;
        if (next === 'long-lived' && entry.number !== undefined) {
          this.rib.keepLongLived(entry.number, family);
          this.#keep(entry, family, 'down', now + longLivedMillis);
        } else {
          this.#sweep(entry, family);
          this.#log(
            name,
            'stale routes removed',
            `${describeFamily(family)}: ${missed(entry.negotiated, since)} in time`,
          );
        }
      }
      if (entry.negotiated === undefined && entry.stale.size === 0 && entry.number !== undefined) {
        this.rib.remove(entry.number);
        entry.number = undefined;
      }
    }
  }

  /** Decides, tells the peers, and what forwards. */
  #settle(now: Millis): void {
    this.rib.flush();
    for (const [name, entry] of this.#entries) this.#feed(name, entry, now);
    const changes = this.rib.takeRoutes(Number.POSITIVE_INFINITY);
    if (changes.length > 0) this.#actions.push({ do: 'routes', changes });
  }

  /** Room with one transport gives nothing to the others: hundreds of peers each take hundreds of times. */
  #feedOne(name: string, now: Millis): void {
    const entry = this.#entries.get(name);
    if (entry !== undefined) this.#feed(name, entry, now);
  }

  #feed(name: string, entry: Entry, now: Millis): void {
    while (entry.negotiated !== undefined && entry.number !== undefined && entry.queued < WINDOW) {
      const octets = this.rib.take(entry.number, WINDOW - entry.queued);
      if (octets.length === 0) return;
      this.#transmit(name, entry, octets.length === 1 ? octets[0]! : concat(...octets), now);
    }
  }

  #transmit(name: string, entry: Entry, octets: Uint8Array, now: Millis): void {
    entry.queued += octets.length;
    this.#perform(name, entry, entry.session.handle({ type: 'transmit', octets }, now), now);
  }

  /** What a peer can make us say as often as it likes is said once a minute, of each family where it is of one, with how often it was not said. */
  #logSeldom(peer: string, entry: Entry, event: string, why: string, now: Millis, family: Family = 0): void {
    const key = `${event} ${family}`;
    const last = entry.spoken.get(key);
    if (last !== undefined && now - last.at < SELDOM) {
      last.untold += 1;
      return;
    }
    entry.spoken.set(key, { at: now, untold: 0 });
    this.#log(peer, event, last === undefined || last.untold === 0 ? why : `${why} (and ${last.untold} times before)`);
  }

  #log(peer: string, event: string, why: string): void {
    this.#actions.push({ do: 'log', peer, event, why });
  }
}

const REFRESH = { ask: 0, begin: 1, end: 2 } as const;
const CEASE_CODE = 6;
/** RFC 7606. */
const TREATED = { discard: 'attribute discarded', withdraw: 'treated as withdraw' } as const;
const SELDOM: Millis = 60_000;

function missed(negotiated: Negotiated | undefined, since: Stale['since']): string {
  if (negotiated === undefined) return 'the peer did not come back';
  return since === 'refresh' ? 'no End-of-RR' : 'no End-of-RIB';
}
