/**
 * What the lab shows: tunnels opened by the first packet, pings and datagrams both ways, large packets, isolation, and rekeys
 * under traffic. Results are data; `problems` is empty when everything is as it should be.
 *
 * An unanswered packet is as it should be only where the outer network lost one meanwhile.
 */
import type { Millis } from '../core/index.ts';
import type { ConnectionStatus } from '../gateway/index.ts';
import { parseAddress } from '../ip/index.ts';
import type { Host, Query } from './host.ts';
import { findProblems } from './judgement.ts';
import { type Lab, PRINTER, SITE, TENANTS, type TenantName, VM } from './topology.ts';

export interface ExchangeResult {
  readonly what: 'first packet' | 'ping' | 'UDP' | 'large ping' | 'ping during rekeys';
  readonly tenant: TenantName;
  readonly from: string;
  readonly to: string;
  /** Octets of data. */
  readonly size: number;
  readonly sent: number;
  readonly answered: number;
  /** Packets the outer network lost in the same phase, whoever's they were. */
  readonly lostOutside: number;
  readonly leastMs: Millis | null;
  readonly meanMs: Millis | null;
  readonly mostMs: Millis | null;
}

export interface MtuResult {
  readonly tenant: TenantName;
  /** What the gateway said would fit, in octets of the packet; null when it said nothing. */
  readonly told: number | null;
  /** Whether a packet of exactly that many octets got through. */
  readonly fits: boolean;
}

export interface IsolationResult {
  readonly tenant: TenantName;
  /** The addresses of its hosts, the same in every tenant. */
  readonly addresses: readonly string[];
  /** Data of its own that reached its hosts. */
  readonly own: number;
  /** Data of other tenants that did. */
  readonly foreign: number;
}

/** An address only one tenant has, asked from both. */
export interface StrangerResult {
  readonly address: string;
  readonly owner: TenantName;
  readonly ownerAnswered: number;
  readonly stranger: TenantName;
  readonly strangerAnswered: number;
  readonly asked: number;
}

export interface RekeyResult {
  readonly tenant: TenantName;
  readonly child: boolean;
  readonly ike: boolean;
}

export interface ScenarioResult {
  /** Of `gw`, at the end. */
  readonly tunnels: readonly ConnectionStatus[];
  readonly exchanges: readonly ExchangeResult[];
  readonly mtu: readonly MtuResult[];
  readonly isolation: readonly IsolationResult[];
  readonly stranger: StrangerResult;
  readonly rekeys: readonly RekeyResult[];
  /** What is not as it should be, in words. */
  readonly problems: readonly string[];
}

/** About ten virtual seconds where nothing is lost. */
export function runScenario(lab: Lab): ScenarioResult {
  const first = exchange(lab, 'first packet', OUTWARDS, 1, (host, to) => host.ping(to, { timeoutMs: OPENING }));
  const pings = exchange(lab, 'ping', BOTH_WAYS, ROUNDS, (host, to) => host.ping(to));
  const udp = exchange(lab, 'UDP', BOTH_WAYS, ROUNDS, (host, to) => host.askUdp(to, UDP_SIZE));
  const large = exchange(lab, 'large ping', BOTH_WAYS, 2, (host, to) => host.ping(to, { size: LARGE }));
  const mtu = TENANTS.map((tenant) => findMtu(lab, tenant));
  const stranger = askStranger(lab);
  const { rekeys, during } = rekeyUnderTraffic(lab);
  const facts = {
    tunnels: lab.gw.gateway.connections(lab.timeline.now),
    exchanges: [...first, ...pings, ...udp, ...large, ...during],
    mtu,
    isolation: TENANTS.map((tenant) => isolationOf(lab, tenant)),
    stranger,
    rekeys,
  };
  return { ...facts, problems: findProblems(facts) };
}

/** One ping of every tenant, for labs that stay up; the answer counts them as they come. */
export function pingOnce(lab: Lab): readonly Query[] {
  return OUTWARDS.map(({ tenant, from, to }) => lab.hosts[tenant][from].ping(parseAddress(to)!));
}

interface Way {
  readonly tenant: TenantName;
  readonly from: 'vm' | 'site';
  readonly to: string;
}

type Ask = (host: Host, to: Uint8Array) => Query;

/** Every tenant asks at once, `rounds` times. */
function exchange(
  lab: Lab,
  what: ExchangeResult['what'],
  ways: readonly Way[],
  rounds: number,
  ask: Ask,
): ExchangeResult[] {
  const lostBefore = lab.outer.counters.lost;
  const asked = ways.map((way) => ({ way, queries: [] as Query[] }));
  for (let round = 0; round < rounds; round++) {
    for (const { way, queries } of asked) queries.push(ask(lab.hosts[way.tenant][way.from], parseAddress(way.to)!));
    lab.timeline.advanceTo(lab.timeline.now + INTERVAL);
  }
  settle(
    lab,
    asked.flatMap(({ queries }) => queries),
  );
  const lostOutside = lab.outer.counters.lost - lostBefore;
  return asked.map(({ way, queries }) => summary(what, way, queries, lostOutside));
}

function settle(lab: Lab, queries: readonly Query[]): void {
  lab.timeline.runUntil(() => queries.every(({ outcome }) => outcome !== 'waiting'), PATIENCE);
}

function summary(
  what: ExchangeResult['what'],
  { tenant, from, to }: Way,
  queries: readonly Query[],
  lostOutside: number,
): ExchangeResult {
  const times = queries.flatMap((q) => (q.outcome === 'reply' ? [q.milliseconds!] : []));
  const none = times.length === 0;
  return {
    what,
    tenant,
    from: from === 'vm' ? VM : SITE,
    to,
    size: queries[0]!.size,
    sent: queries.length,
    answered: times.length,
    lostOutside,
    leastMs: none ? null : Math.min(...times),
    meanMs: none ? null : times.reduce((sum, time) => sum + time, 0) / times.length,
    mostMs: none ? null : Math.max(...times),
  };
}

/** Path MTU discovery as a host does it (RFC 1191): too large with DF, then as large as it was told. */
function findMtu(lab: Lab, tenant: TenantName): MtuResult {
  const { vm } = lab.hosts[tenant];
  const site = parseAddress(SITE)!;
  const tooLarge = vm.ping(site, { size: LAN_MTU - PING_HEADERS, dontFragment: true });
  settle(lab, [tooLarge]);
  const { mtu } = tooLarge;
  if (mtu === undefined) return { tenant, told: null, fits: false };
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const fitting = vm.ping(site, { size: mtu - PING_HEADERS, dontFragment: true });
    settle(lab, [fitting]);
    if (fitting.outcome === 'reply') return { tenant, told: mtu, fits: true };
  }
  return { tenant, told: mtu, fits: false };
}

function askStranger(lab: Lab): StrangerResult {
  const address = parseAddress(PRINTER)!;
  const asked = Array.from({ length: ATTEMPTS }, () => ({
    own: lab.hosts.woodgrove.vm.ping(address),
    strange: lab.hosts.contoso.vm.ping(address),
  }));
  settle(
    lab,
    asked.flatMap(({ own, strange }) => [own, strange]),
  );
  const answered = (queries: readonly Query[]): number => queries.filter((q) => q.outcome === 'reply').length;
  return {
    address: PRINTER,
    owner: 'woodgrove',
    ownerAnswered: answered(asked.map(({ own }) => own)),
    stranger: 'contoso',
    strangerAnswered: answered(asked.map(({ strange }) => strange)),
    asked: ATTEMPTS,
  };
}

/** Child SAs first, then the IKE SAs, while every tenant pings; a tenant without a tunnel is left out. */
function rekeyUnderTraffic(lab: Lab): { readonly rekeys: RekeyResult[]; readonly during: ExchangeResult[] } {
  const { gw, outer, timeline } = lab;
  const lostBefore = outer.counters.lost;
  const ways = OUTWARDS.filter(({ tenant }) => connectionOf(lab, tenant).childSas.length > 0);
  const asked = ways.map((way) => ({ way, queries: [] as Query[] }));
  const outcome = new Map(TENANTS.map((tenant) => [tenant, { child: false, ike: false }]));
  for (const what of ['child', 'ike'] as const) {
    const ids = (tenant: TenantName): number[] =>
      connectionOf(lab, tenant)[what === 'child' ? 'childSas' : 'ikeSas'].map(({ id }) => id);
    const before = new Map(ways.map(({ tenant }) => [tenant, ids(tenant)]));
    for (const { tenant } of ways) gw.dispatch({ type: 'rekey', tenant, connection: 'site', what });
    for (let round = 0; round < REKEY_ROUNDS.most; round++) {
      const rekeyed = ways.filter(({ tenant }) => ids(tenant).some((id) => !before.get(tenant)!.includes(id)));
      for (const { tenant } of rekeyed) outcome.get(tenant)![what] = true;
      if (round >= REKEY_ROUNDS.least && rekeyed.length === ways.length) break;
      for (const { way, queries } of asked) queries.push(lab.hosts[way.tenant].vm.ping(parseAddress(way.to)!));
      timeline.advanceTo(timeline.now + REKEY_INTERVAL);
    }
  }
  settle(
    lab,
    asked.flatMap(({ queries }) => queries),
  );
  const lostOutside = outer.counters.lost - lostBefore;
  return {
    rekeys: TENANTS.map((tenant) => ({ tenant, ...outcome.get(tenant)! })),
    during: asked.map(({ way, queries }) => summary('ping during rekeys', way, queries, lostOutside)),
  };
}

const connectionOf = (lab: Lab, tenant: TenantName): ConnectionStatus =>
  lab.gw.gateway.connections(lab.timeline.now).find((connection) => connection.tenant === tenant)!;

function isolationOf(lab: Lab, tenant: TenantName): IsolationResult {
  const { vm, site } = lab.hosts[tenant];
  const hosts = tenant === 'woodgrove' ? [vm, site, lab.printer] : [vm, site];
  const seen = hosts.flatMap((host) => [...host.markers]);
  const own = seen.filter(([marker]) => marker.startsWith(`bh:${tenant}:`));
  return {
    tenant,
    addresses: [VM, SITE],
    own: own.reduce((sum, [, count]) => sum + count, 0),
    foreign: hosts.reduce((sum, host) => sum + host.counters.foreign, 0),
  };
}

const OUTWARDS: readonly Way[] = TENANTS.map((tenant) => ({ tenant, from: 'vm', to: SITE }));
const INWARDS: readonly Way[] = TENANTS.map((tenant) => ({ tenant, from: 'site', to: VM }));
const BOTH_WAYS = [...OUTWARDS, ...INWARDS];

const ROUNDS = 5;
const ATTEMPTS = 3;
const INTERVAL: Millis = 100;
const OPENING: Millis = 30_000;
const PATIENCE: Millis = 60_000;
const REKEY_INTERVAL: Millis = 10;
/** Rounds of pings while a rekey is under way: enough to cross it, and enough for retransmissions where packets are lost. */
const REKEY_ROUNDS = { least: 25, most: 6_000 };
const LAN_MTU = 1500;
/** IPv4 and ICMP. */
const PING_HEADERS = 28;
const LARGE = 4_000;
const UDP_SIZE = 512;
