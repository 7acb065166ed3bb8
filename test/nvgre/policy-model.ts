/**
 * The policy of a tenant as its documents say it: lists, gone through from the beginning for every question. Nothing is kept
 * but what was told, so that whatever the order of things was, the answer is what the lists say.
 */
import { type Address, contains, sameAddress } from '../../src/ip/index.ts';
import type { CustomerRoute, LookupRecord, PortConfig, VirtualSubnet } from '../../src/nvgre/index.ts';
import { lowestAddress } from '../../src/nvgre/index.ts';
import { macText } from './fixture.ts';

export interface Learned {
  readonly vsid: number;
  readonly ca: Address;
  readonly mac: string;
  seen: number;
}

export class PolicyModel {
  subnets: readonly VirtualSubnet[] = [];
  records: readonly LookupRecord[] = [];
  routes: readonly CustomerRoute[] = [];
  /** In the order they came. */
  ports: readonly PortConfig[] = [];
  learned: Learned[] = [];
  readonly #own: readonly Address[];
  readonly #ageMs: number;

  constructor(own: readonly Address[], ageMs: number) {
    this.#own = own;
    this.#ageMs = ageMs;
  }

  /** Where (VSID, MAC) is: a provider address, a port, `here` (no port), or nothing known. */
  place(vsid: number, mac: string): string | undefined {
    const last = this.records.findLast((r) => r.vsid === vsid && macText(r.mac) === mac);
    if (last !== undefined && !this.#own.some((pa) => sameAddress(pa, last.pa))) return `at ${last.pa.join('.')}`;
    const port = this.ports.find((p) => p.vsid === vsid && macText(p.mac) === mac);
    if (port !== undefined) return `port ${port.port}`;
    return last === undefined ? undefined : 'here';
  }

  /** Who has (VSID, CA), and how that is known. */
  owner(vsid: number, ca: Address): string | undefined {
    const record = this.records.findLast((r) => r.vsid === vsid && r.type === 'static' && sameAddress(r.ca!, ca));
    if (record !== undefined) return `${macText(record.mac)} policy`;
    const port = this.ports.find((p) => p.vsid === vsid && p.addresses?.some((own) => sameAddress(own, ca)));
    if (port !== undefined) return `${macText(port.mac)} port`;
    const learned = this.learned.find((l) => l.vsid === vsid && sameAddress(l.ca, ca));
    return learned === undefined ? undefined : `${learned.mac} learned`;
  }

  /** A packet of (VSID, MAC) from the CA: whether it is let through, and what is learned. */
  send(vsid: number, mac: string, ca: Address, now: number): boolean {
    const owner = this.owner(vsid, ca);
    const mine = this.learned.find((l) => l.vsid === vsid && l.mac === mac && sameAddress(l.ca, ca));
    if (owner === `${mac} learned`) mine!.seen = now;
    if (owner?.startsWith(mac) === true || this.isGateway(vsid, mac)) return true;
    if (owner !== undefined && !owner.endsWith('learned')) return false;
    if (owner === undefined && this.#routesFor(mac, vsid, ca)) return true;
    if (!this.mayLearn(vsid, mac, ca)) return false;
    this.learned = this.learned.filter((l) => !(l.vsid === vsid && sameAddress(l.ca, ca)));
    this.learned.push({ vsid, ca, mac, seen: now });
    return true;
  }

  isGateway(vsid: number, mac: string): boolean {
    const is = (e: { readonly vsid: number; readonly mac: Uint8Array }) => e.vsid === vsid && macText(e.mac) === mac;
    return (
      this.records.some((r) => is(r) && r.type === 'gateway-wildcard') ||
      this.ports.some((p) => is(p) && p.role === 'gateway')
    );
  }

  mayLearn(vsid: number, mac: string, ca: Address): boolean {
    const is = (e: { readonly vsid: number; readonly mac: Uint8Array }) => e.vsid === vsid && macText(e.mac) === mac;
    const records = this.records.filter(is);
    const port = this.ports.find(is);
    if (records.length === 0 && port === undefined) return false;
    if (ca.length === 16 && ca[0] === 0xfe) return true;
    if (!records.some((r) => r.type === 'l2only') && (port === undefined || port.addresses !== undefined)) return false;
    const within = this.onLink(ca);
    if (within === undefined) return this.subnets.every((s) => s.vsid !== vsid || s.prefix === undefined);
    const router = within.router === false ? undefined : lowestAddress(within.prefix!);
    return within.vsid === vsid && !(router !== undefined && sameAddress(router, ca));
  }

  onLink(ca: Address): VirtualSubnet | undefined {
    const covering = this.subnets.filter((s) => s.prefix !== undefined && contains(s.prefix, ca));
    return covering.sort((a, b) => b.prefix!.length - a.prefix!.length)[0];
  }

  /** The owner of what the distributed router sends to, or the gateway of the subnet. */
  nextHop(from: number, ca: Address): string | undefined {
    const within = this.onLink(ca);
    if (within !== undefined) return this.owner(within.vsid, ca)?.split(' ')[0];
    const route = this.#route(ca);
    if (route !== undefined) return this.#ownerOf(route);
    const wildcard = this.records.find((r) => r.vsid === from && r.type === 'gateway-wildcard');
    const gateway = this.ports.find((p) => p.vsid === from && p.role === 'gateway');
    const chosen = wildcard ?? gateway;
    return chosen === undefined ? undefined : macText(chosen.mac);
  }

  /** After any change: what records and ports say goes before what was learned, and learned is only what may be. */
  settle(now: number): void {
    this.learned = this.learned.filter(
      (l) =>
        this.owner(l.vsid, l.ca)?.endsWith('learned') === true &&
        this.mayLearn(l.vsid, l.mac, l.ca) &&
        l.seen + this.#ageMs > now,
    );
  }

  #route(ca: Address): CustomerRoute | undefined {
    const order = (a: CustomerRoute, b: CustomerRoute) => b.prefix.length - a.prefix.length || a.metric - b.metric;
    return this.routes.filter(({ prefix }) => contains(prefix, ca)).sort(order)[0];
  }

  #ownerOf(route: CustomerRoute): string | undefined {
    const vsid = route.vsid ?? this.onLink(route.nextHop)?.vsid;
    return vsid === undefined ? undefined : this.owner(vsid, route.nextHop)?.split(' ')[0];
  }

  #routesFor(mac: string, vsid: number, ca: Address): boolean {
    const route = this.#route(ca);
    if (this.onLink(ca) !== undefined || route === undefined) return false;
    const at = route.vsid ?? this.onLink(route.nextHop)?.vsid;
    return at === vsid && this.#ownerOf(route) === mac;
  }
}
