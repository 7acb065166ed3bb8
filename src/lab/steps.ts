/** The steps of scenarios: questions that machines ask, and what the answers came to. */
import { formatIssue, readDocument } from '../config/index.ts';
import type { Millis } from '../core/index.ts';
import type { ConnectionStatus } from '../gateway/index.ts';
import { type Address, formatAddress, parseAddress } from '../ip/index.ts';
import type { Host, Query } from './host.ts';
import type { Hoster } from './hoster.ts';
import { APP, DB, type HosterFaults, hosterDocument, SERVER, VAULT, WEB } from './hoster-documents.ts';
import type {
  ExchangeResult,
  IsolationResult,
  MtuResult,
  OutsideResult,
  OverlapResult,
  RekeyResult,
  StrangerResult,
  UninvitedResult,
  WayWord,
} from './scenario.ts';
import { SITE, TENANTS, type TenantName } from './topology.ts';

interface Way {
  readonly way: WayWord;
  readonly tenant: TenantName;
  readonly from: Host;
  readonly to: Address;
}

type What = ExchangeResult['what'];
type Ask = (from: Host, to: Address) => Query;

/** Machines among themselves, on other hosts: in one subnet, and through the distributed router. */
export function acrossVirtualNetworks(lab: Hoster): ExchangeResult[] {
  const ways = TENANTS.flatMap((tenant): Way[] => [
    { way: 'bridged', tenant, from: lab.web(tenant), to: at(DB) },
    { way: 'routed', tenant, from: lab.web(tenant), to: at(APP) },
  ]);
  return exchange(lab, 'virtual network', ways, ROUNDS, (from, to) => from.ping(to));
}

/** They open the tunnels. */
export function firstPackets(lab: Hoster, faults?: HosterFaults): ExchangeResult[] {
  const first = exchange(lab, 'first packet', toSites(lab), 1, (from, to) => from.ping(to, { timeoutMs: OPENING }));
  return first.filter(({ tenant }) => !isBrokenSite(tenant, faults));
}

/** Pings, datagrams and large packets both ways through tunnels and outwards to the server. */
export function outwards(lab: Hoster, faults?: HosterFaults): ExchangeResult[] {
  const tunnels = [...toSites(lab), ...fromSites(lab)].filter(({ tenant }) => !isBrokenSite(tenant, faults));
  const ways = [...tunnels, ...toServer(lab)];
  const busy = TENANTS.filter((tenant) => tunnels.some((way) => way.tenant === tenant));
  const mixed = ways.filter(({ tenant, from }) => busy.includes(tenant) && from === lab.web(tenant));
  const isMixed = toServer(lab).some(({ tenant }) => busy.includes(tenant));
  return [
    ...exchange(lab, 'ping', ways, ROUNDS, (from, to) => from.ping(to)),
    ...exchange(lab, 'UDP', ways, ROUNDS, (from, to) => from.askUdp(to, UDP_SIZE)),
    ...exchange(lab, 'large ping', ways, 2, (from, to) => from.ping(to, { size: LARGE })),
    ...exchange(lab, 'both at once', isMixed ? mixed : [], ROUNDS, (from, to) => from.ping(to)),
  ];
}

/** The server begins: through the rules of NATs, or to a machine that is routed directly; and a tenant's own machine by its rule. */
export function fromOutside(lab: Hoster): ExchangeResult[] {
  const { server } = lab;
  const ways = TENANTS.flatMap((tenant): Way[] => {
    if (lab.plan[tenant].direct === true) return [{ way: 'direct', tenant, from: server, to: at(WEB) }];
    const to = lab.external.get(tenant);
    if (to === undefined) return [];
    return [
      { way: 'NAT rule', tenant, from: server, to },
      { way: 'hairpin', tenant, from: lab.vm(tenant, 'app'), to },
    ];
  });
  return exchange(lab, 'from outside', ways, ROUNDS, (from, to) => from.askUdp(to));
}

export function seenOutside({ plan, external, server, tenants }: Hoster): OutsideResult[] {
  return TENANTS.filter((tenant) => plan[tenant].nat !== undefined || plan[tenant].direct === true).map((tenant) => {
    const address = external.get(tenant);
    const seen = [...tenants[tenant].vms.values()].flatMap(({ marker }) => [...(server.sources.get(marker) ?? [])]);
    return {
      tenant,
      external: address === undefined ? null : formatAddress(address),
      seenAs: [...new Set(seen)].sort(),
    };
  });
}

export function askUninvited(lab: Hoster): UninvitedResult[] {
  const { gw, external, server, outer, timeline } = lab;
  const refusedNow = (tenant: TenantName): number => tenantOf(gw, tenant).nat?.drops.natNoSession ?? 0;
  return TENANTS.flatMap((tenant): UninvitedResult[] => {
    const address = external.get(tenant);
    if (address === undefined) return [];
    const [before, lostBefore] = [refusedNow(tenant), outer.counters.lost];
    for (let i = 0; i < ROUNDS; i++) server.sendUdp(address, NOBODYS_PORT, new Uint8Array(32), NOBODYS_PORT);
    timeline.advanceTo(timeline.now + INTERVAL);
    const lost = outer.counters.lost - lostBefore;
    return [{ tenant, external: formatAddress(address), sent: ROUNDS - lost, refused: refusedNow(tenant) - before }];
  });
}

/** Of the same gateway, were both tenants routed directly. */
export function overlappingDocument(): OverlapResult {
  const text = hosterDocument({ contoso: { direct: true }, woodgrove: { direct: true } }, () => '');
  const { document, issues } = readDocument(text, 'both-direct.yaml');
  const [first] = issues;
  return { refused: document === undefined, why: first === undefined ? null : formatIssue(first) };
}

/** Path MTU discovery as a host does it (RFC 1191): too large with DF, then as large as it was told. */
export function findMtu(lab: Hoster, tenant: TenantName): MtuResult {
  const web = lab.web(tenant);
  const tooLarge = web.ping(at(SITE), { size: LAN_MTU - PING_HEADERS, dontFragment: true });
  settle(lab, [tooLarge]);
  const { mtu } = tooLarge;
  if (mtu === undefined) return { tenant, told: null, fits: false };
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const fitting = web.ping(at(SITE), { size: mtu - PING_HEADERS, dontFragment: true });
    settle(lab, [fitting]);
    if (fitting.outcome === 'reply') return { tenant, told: mtu, fits: true };
  }
  return { tenant, told: mtu, fits: false };
}

export function askStranger(lab: Hoster): StrangerResult {
  const asked = Array.from({ length: ATTEMPTS }, () => ({
    own: lab.web('woodgrove').ping(at(VAULT)),
    strange: lab.web('contoso').ping(at(VAULT)),
  }));
  settle(
    lab,
    asked.flatMap(({ own, strange }) => [own, strange]),
  );
  return {
    address: VAULT,
    owner: 'woodgrove',
    ownerAnswered: answered(asked.map(({ own }) => own)),
    stranger: 'contoso',
    strangerAnswered: answered(asked.map(({ strange }) => strange)),
    asked: ATTEMPTS,
  };
}

/** Child SAs first, then the IKE SAs, while every tenant pings; a tenant without a tunnel is left out. */
export function rekeyUnderTraffic(
  lab: Hoster,
  tenants: readonly TenantName[],
): { readonly rekeys: RekeyResult[]; readonly during: ExchangeResult[] } {
  const { gw, outer, timeline } = lab;
  const lostBefore = outer.counters.lost;
  const ways = toSites(lab).filter(
    ({ tenant }) => tenants.includes(tenant) && connectionOf(lab, tenant).childSas.length > 0,
  );
  const asked = ways.map((way) => ({ way, queries: [] as Query[] }));
  const outcome = new Map(tenants.map((tenant) => [tenant, { child: false, ike: false }]));
  for (const what of ways.length === 0 ? [] : (['child', 'ike'] as const)) {
    const ids = (tenant: TenantName): number[] =>
      connectionOf(lab, tenant)[what === 'child' ? 'childSas' : 'ikeSas'].map(({ id }) => id);
    const before = new Map(ways.map(({ tenant }) => [tenant, ids(tenant)]));
    for (const { tenant } of ways) gw.dispatch({ type: 'rekey', tenant, connection: 'site', what });
    for (let round = 0; round < REKEY_ROUNDS.most; round++) {
      const rekeyed = ways.filter(({ tenant }) => ids(tenant).some((id) => !before.get(tenant)!.includes(id)));
      for (const { tenant } of rekeyed) outcome.get(tenant)![what] = true;
      if (round >= REKEY_ROUNDS.least && rekeyed.length === ways.length) break;
      for (const { way, queries } of asked) queries.push(way.from.ping(way.to));
      timeline.advanceTo(timeline.now + REKEY_INTERVAL);
    }
  }
  settle(
    lab,
    asked.flatMap(({ queries }) => queries),
  );
  const lostOutside = outer.counters.lost - lostBefore;
  return {
    rekeys: tenants.map((tenant) => ({ tenant, ...outcome.get(tenant)! })),
    during: asked.map(({ way, queries }) => summary('ping during rekeys', way, queries, lostOutside)),
  };
}

export function isolationOf({ tenants }: Hoster, tenant: TenantName): IsolationResult {
  const { vms, site } = tenants[tenant];
  const hosts = [...vms.values(), ...(site === undefined ? [] : [site])];
  const seen = hosts.flatMap((host) => [...host.markers]);
  const own = seen.filter(([marker]) => marker.startsWith(`bh:${tenant}:`));
  return {
    tenant,
    addresses: [WEB, DB, APP],
    own: own.reduce((sum, [, count]) => sum + count, 0),
    foreign: hosts.reduce((sum, host) => sum + host.counters.foreign, 0),
  };
}

/** It has a site that can be reached. */
export const hasTunnel = ({ plan }: Hoster, tenant: TenantName, faults?: HosterFaults): boolean =>
  plan[tenant].site === true && !isBrokenSite(tenant, faults);

export const connectionOf = ({ gw, timeline }: Hoster, tenant: TenantName): ConnectionStatus =>
  gw.gateway.connections(timeline.now).find((connection) => connection.tenant === tenant)!;

export const tenantOf = ({ gateway }: Hoster['gw'], tenant: TenantName) =>
  gateway.tenants().find(({ name }) => name === tenant)!;

export const answered = (queries: readonly Query[]): number =>
  queries.filter(({ outcome }) => outcome === 'reply').length;

export function settle(lab: Hoster, queries: readonly Query[]): void {
  lab.timeline.runUntil(() => queries.every(({ outcome }) => outcome !== 'waiting'), PATIENCE);
}

const isBrokenSite = (tenant: TenantName, faults?: HosterFaults): boolean =>
  faults?.secret === tenant || faults?.proposal === tenant;

const at = (text: string): Address => parseAddress(text)!;

const toSites = (lab: Hoster): Way[] =>
  TENANTS.filter((tenant) => lab.plan[tenant].site === true).map((tenant) => {
    return { way: 'tunnel', tenant, from: lab.web(tenant), to: at(SITE) };
  });

const fromSites = (lab: Hoster): Way[] =>
  TENANTS.flatMap((tenant): Way[] => {
    const { site } = lab.tenants[tenant];
    return site === undefined ? [] : [{ way: 'tunnel', tenant, from: site, to: at(WEB) }];
  });

const toServer = (lab: Hoster): Way[] =>
  TENANTS.flatMap((tenant): Way[] => {
    const { nat, direct } = lab.plan[tenant];
    if (nat === undefined && direct !== true) return [];
    return [{ way: nat === undefined ? 'direct' : 'NAT', tenant, from: lab.web(tenant), to: at(SERVER) }];
  });

/** Everybody asks at once, `rounds` times. */
function exchange(lab: Hoster, what: What, ways: readonly Way[], rounds: number, ask: Ask): ExchangeResult[] {
  if (ways.length === 0) return [];
  const lostBefore = lab.outer.counters.lost;
  const asked = ways.map((way) => ({ way, queries: [] as Query[] }));
  for (let round = 0; round < rounds; round++) {
    for (const { way, queries } of asked) queries.push(ask(way.from, way.to));
    lab.timeline.advanceTo(lab.timeline.now + INTERVAL);
  }
  settle(
    lab,
    asked.flatMap(({ queries }) => queries),
  );
  const lostOutside = lab.outer.counters.lost - lostBefore;
  return asked.map(({ way, queries }) => summary(what, way, queries, lostOutside));
}

function summary(what: What, way: Way, queries: readonly Query[], lostOutside: number): ExchangeResult {
  const times = queries.flatMap((q) => (q.outcome === 'reply' ? [q.milliseconds!] : []));
  const none = times.length === 0;
  return {
    what,
    way: way.way,
    tenant: way.tenant,
    from: formatAddress(way.from.addresses[0]!),
    to: formatAddress(way.to),
    size: queries[0]!.size,
    sent: queries.length,
    answered: times.length,
    lostOutside,
    leastMs: none ? null : Math.min(...times),
    meanMs: none ? null : times.reduce((sum, time) => sum + time, 0) / times.length,
    mostMs: none ? null : Math.max(...times),
  };
}

export const ATTEMPTS = 3;
const ROUNDS = 5;
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
const NOBODYS_PORT = 4_000;
