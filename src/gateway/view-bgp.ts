/** BGP of all tenants as people ask for it: each question names its tenant, and is answered from that tenant's router alone. */
import { dumpRib, type MrtRecord, type Page, type SessionView } from '../bgp/index.ts';
import type { BgpPeerConfig } from '../config/index.ts';
import type { Millis } from '../core/index.ts';
import { type Address, formatAddress, formatPrefix, type Prefix } from '../ip/index.ts';
import {
  type Concerned,
  notificationAdvice,
  type TenantRouter,
  viewAdvertised,
  viewBgpExplanation,
  viewPeers,
  viewReceived,
  viewRoutes,
  viewSummary,
  whyDown,
} from './bgp/index.ts';
import type { Dropped } from './bgp/transport.ts';
import type { Books } from './books.ts';
import type { Problem, RouteStatus } from './status.ts';
import type {
  BgpAdvertisedStatus,
  BgpExplanationStatus,
  BgpPeerStatus,
  BgpReceivedStatus,
  BgpRouteStatus,
  BgpSummaryStatus,
} from './status-bgp.ts';
import type { Tenant } from './tenant.ts';
import { viewExplanation, viewRoutes as viewOwnRoutes } from './view.ts';

export interface BgpDump {
  /** Returns how many routes were left out. */
  readonly records: Generator<MrtRecord, number, undefined>;
  /** The router is still the one whose tables these are. */
  isThere(): boolean;
}

export class BgpView {
  readonly #books: Books;

  constructor(books: Books) {
    this.#books = books;
  }

  /** Of one tenant, or of all. */
  summaries(now: Millis, tenant?: string): BgpSummaryStatus[] {
    return this.#routers(tenant).map(({ tenant, router }) => viewSummary(tenant.name, router, now));
  }

  /** Of one tenant, or of all; `peer`: of that name only. */
  peers(now: Millis, tenant?: string, peer?: string): BgpPeerStatus[] {
    return this.#routers(tenant).flatMap(({ tenant, router }) => viewPeers(tenant.name, router, now, peer));
  }

  // The others answer undefined for a tenant without BGP.

  routes(tenant: string, page: Page): readonly BgpRouteStatus[] | undefined {
    return this.#of(tenant, (router) => viewRoutes(router, page));
  }

  received(tenant: string, peer: string, page: Page): readonly BgpReceivedStatus[] | undefined {
    return this.#of(tenant, (router) => viewReceived(router, peer, page));
  }

  advertised(tenant: string, peer: string, page: Page): readonly BgpAdvertisedStatus[] | undefined {
    return this.#of(tenant, (router) => viewAdvertised(router, peer, page));
  }

  has(tenant: string): boolean {
    return this.#books.tenants.get(tenant)?.router !== undefined;
  }

  /** Its tables as MRT, to be taken record by record. `seconds`: the time of day since 1970, at `now`. */
  dump(name: string, seconds: number, now: Millis): BgpDump | undefined {
    return this.#of(name, (router) => {
      const { rib } = router.speaker;
      const families = rib.families.map(({ family }) => family);
      const options = { collector: router.config.routerId, view: name, families, seconds, now };
      const isThere = (): boolean => this.#books.tenants.get(name)?.router === router;
      return { records: dumpRib(rib, options), isThere };
    });
  }

  /** Of the longest prefix that an address is in, or of a prefix. */
  explain(tenant: string, asked: Address | Prefix): BgpExplanationStatus | undefined {
    return this.#of(tenant, (router, of) => {
      const { found, ...explained } = viewBgpExplanation(router, asked);
      const prefix = found === undefined ? null : formatPrefix(found);
      const isAddress = asked instanceof Uint8Array;
      const { address, chosen, among, why, passedOver } = viewExplanation(of, isAddress ? asked : hostIn(asked));
      const text = isAddress ? address : formatPrefix(asked);
      const all = among ?? (chosen === null ? [] : [chosen]);
      const known = [...all, ...passedOver.map(({ route }) => route)].filter((route) => route.prefix === prefix);
      // Of a prefix nobody has named the address that was looked up in it; and that may be in a longer one.
      const words = chosen === null ? why.replace(address, text) : why;
      const fib = found === undefined || known.length > 0 ? known : viewOwnRoutes(of, { prefix: found });
      const isLonger = known.length === 0 && fib.length > 0 && chosen !== null;
      const fibWhy = isLonger ? wordsOf(fib[0]!, chosen.prefix) : words;
      return { asked: text, prefix, ...explained, fib, fibWhy };
    });
  }

  #of<T>(name: string, view: (router: TenantRouter, tenant: Tenant) => T): T | undefined {
    const tenant = this.#books.tenants.get(name);
    return tenant?.router === undefined ? undefined : view(tenant.router, tenant);
  }

  #routers(only?: string): { readonly tenant: Tenant; readonly router: TenantRouter }[] {
    return [...this.#books.tenants.values()].flatMap((tenant) =>
      tenant.router === undefined || (only ?? tenant.name) !== tenant.name ? [] : [{ tenant, router: tenant.router }],
    );
  }
}

function wordsOf({ prefix, via, nextHop, discard, why }: RouteStatus, longer: string): string {
  const way = discard === true ? 'is discarded' : `leaves by ${via}${nextHop === undefined ? '' : ` to ${nextHop}`}`;
  return `${prefix} ${way}: ${why}, but for what is longer, such as ${longer}`;
}

/** An address in a prefix that is, where there is room, neither its first nor its last. */
function hostIn({ address, length }: Prefix): Address {
  const host = address.slice();
  if (length <= host.length * 8 - 2) host[host.length - 1]! |= 0x02;
  return host;
}

/** Peers that are configured, wanted, and not there. */
export const bgpProblems = (books: Books, now: Millis): Problem[] =>
  [...books.tenants.values()].flatMap(({ name, router }) =>
    router === undefined ? [] : router.config.peers.flatMap((peer) => problemOf(name, router, peer, now)),
  );

function problemOf(tenant: string, router: TenantRouter, peer: BgpPeerConfig, now: Millis): Problem[] {
  const { name, address, asn } = peer;
  const view = router.speaker.session(name)?.view(now);
  if (view === undefined || view.state === 'established' || !router.isWanted(name)) return [];
  const { lastErrorSent: sent, lastErrorReceived: received } = view;
  const line = (what: string, error: typeof sent) =>
    error === undefined ? [] : [`${what} ${Math.floor(error.agoMillis / 1000)} s ago: ${error.words}`];
  const dropped = router.transport.droppedOf(name);
  const droppings = droppedLines(dropped);
  const isSilent = sent === undefined && received === undefined && droppings.length > 0;
  return [
    {
      severity: view.connectionsEstablished === 0 && view.connectRetryCounter === 0 ? 'warning' : 'error',
      tenant,
      problem: `BGP peer ${name} (${formatAddress(address)}, AS ${asn}) is not up: ${whyDown(router, name, view)}`,
      advice: isSilent
        ? compare(dropped)
        : adviceFor({ tenant, peer: name, address: formatAddress(address) }, router, view),
      lines: [...line('last error sent', sent), ...line('last error received', received), ...droppings],
    },
  ];
}

/** TCP segments of the peer that no session hears of. */
function droppedLines({ signature, hopLimit }: Dropped): string[] {
  const line = (count: number, what: string) =>
    count === 0 ? [] : [`${count} TCP ${count === 1 ? 'segment' : 'segments'} dropped: ${what}`];
  return [
    ...line(signature, 'an MD5 signature is missing, wrong, or not expected (RFC 2385)'),
    ...line(hopLimit, 'from further away than ttlSecurityHops says (RFC 5082)'),
  ];
}

const compare = ({ signature, hopLimit }: Dropped): string =>
  `compare ${[...(signature > 0 ? ['`md5`'] : []), ...(hopLimit > 0 ? ['`ttlSecurityHops`'] : [])].join(' and ')} on both sides`;

function adviceFor(whose: Concerned, router: TenantRouter, view: SessionView): string {
  const { tenant, peer } = whose;
  const why = whyDown(router, peer, view) ?? '';
  if (/(^|: )the (tunnel|path) /.test(why)) return `see \`bulkhead connections --tenant ${tenant}\``;
  if (/no route|no own address/.test(why)) return `see \`bulkhead routes --tenant ${tenant}\``;
  const cause = router.troubles.cause(peer);
  const advice = cause && notificationAdvice(cause.code, cause.subcode, cause.by, whose);
  return advice ?? `see \`bulkhead bgp peers --tenant ${tenant}\``;
}
