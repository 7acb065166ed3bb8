/**
 * The BGP router of one compartment, a tenant's or compartment 1: a speaker, its transport, and the routes between them and
 * the compartment.
 *
 * Read first: RFC 4271 §3.2, §9.1.2.1 (next hops); docs/architecture.md.
 * It speaks from the compartment's own addresses by TCP of its own, so addresses of two tenants may be the same. A next hop is reached by
 * what the compartment knows without BGP: never by a route that it stands for itself, and a route learned through a tunnel never
 * leads to the tunnel's own end, which is in compartment 1.
 * Invariants: nothing here refers to another tenant, but that the router of compartment 1 may tell what links lead to; what BGP has put
 * into the FIB is what the tables say, whatever order changes come in.
 */
import {
  type AttributeAccount,
  CEASE,
  ERROR,
  MAXIMUM_PREFIXES,
  notification,
  type Peer,
  type PeerSettings,
  ROUTES_AT_ONCE,
  type RouteChange,
  Speaker,
  type SpeakerAction,
  type SpeakerEvent,
} from '../../bgp/index.ts';
import type { BgpConfig, BgpPeerConfig } from '../../config/index.ts';
import {
  type AgendaEntry,
  type Bytes,
  type Deadline,
  earliest,
  type Millis,
  type Secret,
  type Timed,
} from '../../core/index.ts';
import { md5 } from '../../crypto/index.ts';
import { type Address, formatPrefix } from '../../ip/index.ts';
import type { Books } from '../books.ts';
import type { BgpCommand } from '../contract.ts';
import type { Tenant } from '../tenant.ts';
import {
  compileAggregates,
  compileDampening,
  compilePeer,
  compileRib,
  compileTransport,
  identityOf,
  type PeerIdentity,
  restarting,
} from './compile.ts';
import { Installed } from './installed.ts';
import { LogPace } from './log-pace.ts';
import { Originations, originations, type ReachedTenants } from './originations.ts';
import { isConnected, otherAddress } from './own-addresses.ts';
import { reportChosen, reportEvent, reportFull } from './reports.ts';
import { BgpTransport, type TransportPeer } from './transport.ts';
import { Troubles } from './troubles.ts';

/** Secrets of peers, by name. */
export type PeerSecrets = (peer: string) => Secret | undefined;

/** What the compartment is told of a route of a peer. */
interface Source {
  readonly preference: number;
  readonly why: string;
}

interface PeerPlan extends PeerIdentity {
  readonly settings: PeerSettings;
  readonly transport: TransportPeer;
  /** Not begun until an operator says so. */
  readonly rests: boolean;
}

export class TenantRouter implements Timed {
  touched = false;
  entry: AgendaEntry | undefined = undefined;
  config: BgpConfig;
  readonly speaker: Speaker;
  /** What its path attributes take of what all tenants' may. */
  readonly account: AttributeAccount;
  readonly transport: BgpTransport;
  readonly #books: Books;
  readonly #tenant: Tenant;
  readonly #events: SpeakerEvent[] = [];
  readonly #installed: Installed;
  readonly #originations: Originations;
  /** Words of the way to each peer, where that is a tunnel: whether it was up. */
  readonly #paths = new Map<string, boolean>();
  readonly #plans = new Map<string, PeerPlan>();
  /** Peers that the document or an operator wants down. */
  readonly #down: Set<string>;
  /** With peers whose sessions are not up. */
  readonly troubles = new Troubles();
  readonly #pace = new LogPace();
  #aggregates = '';
  /** Until the first document has been applied, where that is the first of the process. */
  #restarting: boolean;
  #running = false;
  /** When routes that wait for their turn last had one. */
  #proceededAt: Millis = 0;
  /** Says of the routes of a peer, as the tables know it, what the compartment is told. */
  readonly #sources = new WeakMap<Peer, Source>();
  /** How often what forwards has been told of a change. */
  tableVersion = 0;

  /** `before`: the router in whose place it is; or `restart`: the process begins with it. */
  constructor(books: Books, tenant: Tenant, config: BgpConfig, before?: TenantRouter | 'restart') {
    this.#books = books;
    this.#restarting = before === 'restart';
    this.#down = new Set(before instanceof TenantRouter ? before.#down : []);
    this.#tenant = tenant;
    this.config = config;
    const { random } = books;
    this.account = books.bgpMemory.budget.open();
    this.#installed = new Installed(tenant);
    this.speaker = new Speaker(
      compileRib(config, (address) => this.#installed.resolve(address), this.account),
      random,
    );
    this.#originations = new Originations(this.speaker);
    this.transport = new BgpTransport({
      random,
      md5,
      mtu: (remote) => this.#mtuTowards(remote),
      sourceTowards: (remote) => tenant.compartment.sourceTowards(remote),
      emit: (octets) => tenant.command({ do: 'send', compartment: tenant.number, octets }),
      tell: (peer, event) => {
        if (event.type !== 'tick') this.#events.push({ type: 'session', peer, event });
      },
    });
    this.speaker.watch = (peer, ...message) => books.bgpFollowers.messages(tenant.name, peer, books.now, ...message);
    this.speaker.record = (peer, session) =>
      books.bgpRecordings.of(tenant.name, peer, session, () => this.transport.endsOf(peer));
    tenant.command({ do: 'set-transport', compartment: tenant.number, on: true });
  }

  /**
   * The document is another now. The router itself is the same: with another AS or identifier there is a new one. A session ends only where
   * what it has settled, its way or its secret (`rekeyed`) is another; policies, limits and dampening are changed under it.
   */
  apply(config: BgpConfig, secrets: PeerSecrets, rekeyed: (peer: string) => boolean, now: Millis): void {
    this.#dampen(config, now);
    this.config = config;
    this.#aggregate(config);
    const plans = new Map(config.peers.map((peer) => [peer.name, this.#plan(peer, secrets)]));
    for (const name of this.speaker.peers)
      if (rekeyed(name) || plans.get(name)?.fixed !== this.#plans.get(name)?.fixed)
        this.#removePeer(name, now, plans.get(name)?.rests === false && !rekeyed(name));
    for (const [name, { rests }] of plans) {
      if (rests === (this.#plans.get(name)?.rests ?? false)) continue;
      if (rests) this.#down.add(name);
      else this.#down.delete(name);
    }
    for (const [name, plan] of plans) {
      const old = this.#plans.get(name);
      this.#plans.set(name, plan);
      if (old === undefined) this.#addPeer(plan);
      else this.#changePeer(plan, old);
    }
    const { selectionDeferralSeconds } = config;
    if (this.#restarting && selectionDeferralSeconds > 0)
      this.#events.push({ type: 'restarted', deferralMillis: 1000 * selectionDeferralSeconds });
    this.#restarting = false;
    this.#run(now);
    this.settled(now);
  }

  /** Peers that go are told so, while there is still a way to them. */
  dismiss(config: BgpConfig, rekeyed: (peer: string) => boolean, now: Millis): void {
    for (const name of this.speaker.peers) {
      const stays = config.peers.some((peer) => peer.name === name);
      if (!stays) this.#down.delete(name);
      if (!stays || rekeyed(name)) this.#removePeer(name, now);
    }
  }

  /** Whether only a new router can take the document over. */
  needsNew(config: BgpConfig): boolean {
    const text = ({ asn, routerId, clusterId, clientToClient, decision, maxPaths }: BgpConfig) =>
      JSON.stringify([asn, routerId, clusterId, clientToClient, decision, maxPaths]);
    return text(this.config) !== text(config);
  }

  /** Routes, interfaces or tunnels of the compartment have changed. */
  settled(now: Millis): void {
    const reached: ReachedTenants = (what) => this.#books.outside.reached(what);
    this.#originations.renew(originations(this.config, this.#tenant.compartment, reached));
    this.#followPaths();
    this.#installed.reconsider();
    this.#events.push({ type: 'next-hops' });
    this.#run(now);
    this.#proceed(now);
  }

  /** A packet to an own address. */
  packet(octets: Bytes, now: Millis): void {
    this.transport.packet(octets, now);
    this.#run(now);
  }

  deadline(): Deadline | undefined {
    const own = this.#installed.owes ? { at: this.#proceededAt, why: 'routes wait for their turn' } : undefined;
    const others = earliest(this.#pace.deadline(), earliest(this.speaker.deadline(), this.transport.deadline()));
    return earliest(own, others);
  }

  tick(now: Millis): void {
    this.transport.tick(now);
    this.#events.push({ type: 'tick' });
    this.#run(now);
    this.#proceed(now);
    for (const said of this.#pace.takeDue(now)) reportEvent(this.#books, this.#tenant, said);
    this.#books.touch(this);
  }

  /** What an operator asks of a peer; false: there is no such peer. Who is down stays so at a reset, and for the reason there was. */
  ask(peer: string, what: BgpCommand, text: string, now: Millis): boolean {
    if (this.speaker.session(peer) === undefined) return false;
    if (what === 'reset' && this.#down.has(peer)) return true;
    const session = (event: Extract<SpeakerEvent, { type: 'session' }>['event']) =>
      this.#events.push({ type: 'session', peer, event });
    if (what === 'start' || what === 'reset') this.troubles.forget(peer);
    if (what === 'start') this.#down.delete(peer);
    else if (what === 'stop') this.#down.add(peer);
    if (what === 'start') session({ type: 'start' });
    else if (what === 'refresh-in' || what === 'refresh-out')
      this.#events.push({ type: 'refresh', peer, direction: what === 'refresh-in' ? 'in' : 'out' });
    else session({ type: 'stop', subcode: what === 'stop' ? SHUTDOWN : RESET, ...(text === '' ? {} : { text }) });
    if (what === 'reset') session({ type: 'start' });
    this.#run(now);
    return true;
  }

  /** Whether there is a way to the address, whoever says so; also to a link-local one, for which nothing is forwarded (RFC 3927 §7). */
  reaches(address: Address): boolean {
    const { chosen } = this.#tenant.compartment.explain(address);
    return (chosen ?? this.#installed.routeTo(address)) !== undefined;
  }

  /** Neither the document nor an operator wants it down. */
  isWanted(peer: string): boolean {
    return !this.#down.has(peer);
  }

  /** Every session is ended with a word, and every route taken back, unless the compartment goes with them. `text`: the gateway ends (RFC 9003). */
  close(now: Millis, { text, compartmentGoes = false }: { text?: string; compartmentGoes?: boolean } = {}): void {
    for (const peer of this.speaker.peers) {
      if (text !== undefined)
        this.#events.push({ type: 'session', peer, event: { type: 'stop', subcode: SHUTDOWN, text } });
      this.#removePeer(peer, now);
    }
    if (!compartmentGoes) this.#installed.clear();
    this.account.budget.close(this.account);
    this.#tenant.command({ do: 'set-transport', compartment: this.#tenant.number, on: false });
  }

  /** Ends the session with most routes, to give back what they take; false: there is none. */
  shed(now: Millis): boolean {
    const { rib } = this.speaker;
    const paths = (peer: string): number => {
      const number = this.speaker.negotiated(peer) === undefined ? undefined : this.speaker.number(peer);
      return number === undefined ? 0 : rib.families.reduce((sum, family) => sum + family.countOf(number), 0);
    };
    const [largest] = this.speaker.peers.toSorted((a, b) => paths(b) - paths(a));
    if (largest === undefined || paths(largest) === 0) return false;
    this.account.budget.refused += 1;
    const fault = { type: 'fault', notification: OUT_OF_RESOURCES, why: this.account.words } as const;
    this.#events.push({ type: 'session', peer: largest, event: fault });
    this.#run(now);
    return true;
  }

  #plan(peer: BgpPeerConfig, secrets: PeerSecrets): PeerPlan {
    const interfaces = this.#tenant.compartment.interfaces();
    const connected = isConnected(interfaces, peer.address);
    const other = otherAddress(interfaces, peer, this.#installed.routeTo(peer.address)?.interface);
    const settings = compilePeer(this.config, peer, connected, other);
    const transport = compileTransport(this.config, peer, connected, secrets(peer.name));
    const rests = peer.shutdown || peer.start === 'manual';
    return { settings, transport, rests, ...identityOf(settings, transport) };
  }

  #addPeer({ settings, transport }: PeerPlan): void {
    this.transport.setPeer(transport);
    this.#events.push({ type: 'add-peer', peer: this.#restarting ? restarting(settings) : settings });
    if (!this.#down.has(settings.name))
      this.#events.push({ type: 'session', peer: settings.name, event: { type: 'start' } });
  }

  #changePeer({ settings, rests, soft }: PeerPlan, old: PeerPlan): void {
    if (soft !== old.soft) this.#events.push({ type: 'configure-peer', peer: settings });
    const raised = limitOf(settings) > limitOf(old.settings) && !this.#down.has(settings.name);
    // One that ended for its prefixes begins anew; another one has begun (RFC 4271 §8.2.2: the event is ignored).
    if (raised) this.#events.push({ type: 'session', peer: settings.name, event: { type: 'start' } });
    if (rests === old.rests) return;
    const event = rests ? ({ type: 'stop', subcode: SHUTDOWN } as const) : ({ type: 'start' } as const);
    this.#events.push({ type: 'session', peer: settings.name, event });
  }

  /** `stays`: the document has it still, otherwise, and it may wait for us (RFC 4486 §4, RFC 8538 §4); with another secret it may not. */
  #removePeer(name: string, now: Millis, stays = false): void {
    const event = { type: 'stop', subcode: RECONFIGURED, text: 'its configuration has changed' } as const;
    if (stays) this.#events.push({ type: 'session', peer: name, event });
    // What the document wanted, its successor says anew; what an operator wants stays.
    if (this.#plans.get(name)?.rests === true) this.#down.delete(name);
    this.#plans.delete(name);
    this.#events.push({ type: 'remove-peer', peer: name });
    this.#run(now);
    this.transport.removePeer(name, now);
    this.#paths.delete(name);
    this.troubles.forget(name);
    this.#pace.forget(name);
  }

  /** What concerns many prefixes at once is done in parts: the sessions of other tenants have their turn between two. */
  #proceed(now: Millis): void {
    if (!this.#installed.owes) return;
    // One goes and one comes for each.
    this.#installed.proceed(ROUTES_AT_ONCE / 2);
    this.#proceededAt = now;
    this.#sayFull();
  }

  /** Until nothing follows from anything. */
  #run(now: Millis): void {
    if (this.#running) return;
    this.#running = true;
    for (let event = this.#events.shift(); event !== undefined; event = this.#events.shift())
      for (const action of this.speaker.handle(event, now)) this.#perform(action, now);
    this.#running = false;
    this.#books.touch(this);
    this.#books.bgpMemory.relieve(now);
  }

  #perform(action: SpeakerAction, now: Millis): void {
    switch (action.do) {
      case 'session': {
        const { peer, action: of } = action;
        if (of.do === 'dial') this.transport.dial(peer, of.connection, now);
        else if (of.do === 'send') this.transport.send(peer, of.connection, of.octets, now);
        else this.transport.close(peer, of.connection, of.abort, now);
        return;
      }
      case 'routes':
        this.tableVersion += action.changes.length;
        for (const change of action.changes) this.#install(change);
        return this.#sayFull();
      case 'chosen':
        return reportChosen(this.#books, this.#tenant, action);
      case 'log':
        return this.#log(action, now);
    }
  }

  #log(action: Extract<SpeakerAction, { do: 'log' }>, now: Millis): void {
    const { peer, event, why } = action;
    this.#books.emit({ do: 'bgp-changed', tenant: this.#tenant.name, peer });
    this.troubles.note(peer, event, why, this.speaker.session(peer)?.counters, now);
    this.#books.bgpFollowers.event(this.#tenant.name, peer, event, why, now);
    const said = this.#pace.say(action, now);
    if (said !== undefined) reportEvent(this.#books, this.#tenant, said);
  }

  #sayFull(): void {
    const now = this.#installed.settle(ROUTES_AT_ONCE);
    if (now !== undefined) reportFull(this.#books, this.#tenant, now);
  }

  #install({ row, prefix, nextHops, peer, discard }: RouteChange): void {
    if (discard) return this.#installed.discard(row, prefix, AGGREGATE, 'BGP aggregate: nothing longer matches');
    // Those of our own are in the table already, or are a promise of the document.
    const from = peer === 0 ? undefined : this.speaker.rib.peer(peer);
    const { preference, why } = from === undefined ? NOBODY : this.#sourceOf(from);
    this.#installed.set(row, prefix, from === undefined ? [] : nextHops, preference, why);
  }

  #sourceOf(peer: Peer): Source {
    let known = this.#sources.get(peer);
    if (known === undefined) {
      const external = peer.kind === 'external';
      const why = `BGP route of ${external ? 'external' : 'internal'} peer ${peer.name}`;
      known = { preference: external ? EXTERNAL : INTERNAL, why };
      this.#sources.set(peer, known);
    }
    return known;
  }

  #aggregate(config: BgpConfig): void {
    const aggregates = compileAggregates(config);
    const text = JSON.stringify(aggregates.map(({ prefix, ...how }) => [formatPrefix(prefix), how]));
    if (text === this.#aggregates) return;
    this.#aggregates = text;
    this.speaker.aggregate(aggregates);
  }

  #dampen({ dampening }: BgpConfig, now: Millis): void {
    if (JSON.stringify(dampening) === JSON.stringify(this.config.dampening)) return;
    this.speaker.rib.dampen(dampening && compileDampening(dampening), now);
  }

  /**
   * A peer behind a tunnel: that it went ends the session at once, and dialling begins anew, which asks for the tunnel; that it is up is a
   * reason to dial now.
   */
  #followPaths(): void {
    for (const { name, address } of this.config.peers) {
      const out = this.#installed.routeTo(address)?.interface;
      const tunnel = [...this.#tenant.tunnels.values()].find((each) => each.interface === out);
      const path = (is: boolean, words: string) =>
        this.#events.push({ type: 'session', peer: name, event: { type: 'path', up: is, why: words } });
      const before = this.#paths.get(name) ?? false;
      if (tunnel === undefined) {
        this.#paths.delete(name);
        if (!before) continue;
        path(false, 'the tunnel it went by is no way to it any more');
        path(true, 'there may be another way');
        continue;
      }
      const { up } = tunnel;
      this.#paths.set(name, up);
      if (up === before) continue;
      const why = `the tunnel ${tunnel.name} is ${up ? 'up' : 'down'}`;
      path(up, why);
      if (!up && tunnel.config.start !== 'listen') path(true, 'a packet may open the tunnel again');
    }
  }

  #mtuTowards(remote: Address): number {
    const route = this.#installed.routeTo(remote);
    return this.#tenant.compartment.interfaces().find(({ number }) => number === route?.interface)?.mtu ?? SAFE_MTU;
  }
}

const limitOf = ({ maximumPrefixes }: PeerSettings): number => maximumPrefixes ?? MAXIMUM_PREFIXES;

/** What others give external and internal routes. */
const EXTERNAL = 20;
const INTERNAL = 200;
const NOBODY: Source = { preference: INTERNAL, why: '' };
/** Of the discard route of an aggregate: any other route to its very prefix goes before it. */
const AGGREGATE = 254;
const OUT_OF_RESOURCES = notification(ERROR.CEASE, CEASE.OUT_OF_RESOURCES);
/** RFC 4486. */
const SHUTDOWN = 2;
const RESET = 4;
const RECONFIGURED = 6;
/** RFC 8200 §5. */
const SAFE_MTU = 1280;
