/**
 * A random life of two gateways with two tenants of identical prefixes: traffic, loss, rekeys, reloads, restarts. Every packet
 * carries its tenant as a marker; after every step nobody has seen another's.
 */
import { fraction, type Random, seededRandom } from '../../src/core/index.ts';
import { parseAddress } from '../../src/ip/index.ts';
import {
  type GatewayNode,
  Lab,
  type Query,
  resolveDocument,
  SITE,
  TENANTS,
  type TenantName,
  VM,
} from '../../src/lab/index.ts';

const site = parseAddress(SITE)!;
const vm = parseAddress(VM)!;

export class World {
  readonly lab: Lab;
  readonly log: string[] = [];
  readonly queries: Query[] = [];
  readonly #random: Random;
  #dpd = 10;

  constructor(seed: number) {
    this.#random = seededRandom(seed * 2 + 1);
    this.lab = new Lab({
      random: seededRandom(seed),
      conditions: { loss: 0.2, jitter: 10, duplicate: 0.05, reorder: 0.05 },
      edit: (text) =>
        text.replaceAll('ike: { ', 'ike: { giveUpSeconds: 30, ').replaceAll('start: demand', this.#terms()),
    });
  }

  /** One thing happens, then some time passes. */
  step(): void {
    const act = this.#pick(ACTS);
    this.log.push(`${Math.round(this.lab.timeline.now)} ${act}`);
    this[act]();
    this.lab.timeline.advanceTo(this.lab.timeline.now + 20 + fraction(this.#random) * 400);
    this.#check(act);
  }

  /** The network is clean again and everybody talks: both ends must come to agree. */
  recover(): void {
    const { lab } = this;
    lab.outer.conditions = { ...lab.outer.conditions, loss: 0, duplicate: 0, reorder: 0 };
    lab.timeline.advanceTo(lab.timeline.now + 60_000);
    for (let attempt = 0; attempt < 8; attempt++) {
      const asked = TENANTS.flatMap((tenant) => [lab.hosts[tenant].vm.ping(site), lab.hosts[tenant].site.ping(vm)]);
      lab.timeline.advanceTo(lab.timeline.now + 8_000);
      if (asked.every(({ outcome }) => outcome === 'reply')) return;
    }
    throw new Error('traffic did not come back on a clean network');
  }

  /** What one end sends on, the other receives on, for the same tenant. */
  agreement(): string[] {
    const { gw, sites, timeline } = this.lab;
    timeline.advanceTo(timeline.now + 30_000);
    return [
      [gw, sites],
      [sites, gw],
    ].flatMap(([from, to]) =>
      from!.gateway.connections(timeline.now).flatMap((connection) => {
        const peer = to!.gateway.connections(timeline.now).find(({ tenant }) => tenant === connection.tenant)!;
        const known = new Set(peer.childSas.map(({ spiIn }) => spiIn));
        return connection.childSas
          .filter(({ state, spiOut }) => state === 'active' && !known.has(spiOut))
          .map(({ spiOut }) => `${connection.tenant}: the peer does not know SPI ${spiOut}`);
      }),
    );
  }

  talk(): void {
    const { vm: inside, site: outside } = this.lab.hosts[this.#tenant()];
    const [host, to] = this.#coin() ? [inside, site] : [outside, vm];
    const count = 1 + Math.floor(fraction(this.#random) * 10);
    for (let i = 0; i < count; i++) {
      if (this.#coin()) this.queries.push(host.ping(to, { size: 20 + Math.floor(fraction(this.#random) * 2000) }));
      else this.queries.push(host.askUdp(to, 20 + Math.floor(fraction(this.#random) * 1400)));
    }
  }

  rekeyChild(): void {
    this.#command('rekey', 'child');
  }

  rekeyIke(): void {
    this.#command('rekey', 'ike');
  }

  takeDown(): void {
    this.#command('down', this.#coin() ? 'ike' : 'child');
  }

  bringUp(): void {
    this.#command('up', 'ike');
  }

  reload(): void {
    const [node, text] = this.#coin()
      ? ([this.lab.gw, this.lab.documents.gw] as const)
      : ([this.lab.sites, this.lab.documents.sites] as const);
    this.#dpd = 10 + Math.floor(fraction(this.#random) * 20);
    const tenant = this.#tenant();
    const at = text.indexOf(`- name: ${tenant}`);
    node.apply(
      resolveDocument(text.slice(0, at) + text.slice(at).replace(/dpdSeconds: \d+/, `dpdSeconds: ${this.#dpd}`)),
    );
  }

  restart(): void {
    (this.#coin() ? this.lab.gw : this.lab.sites).restart();
  }

  wait(): void {
    this.lab.timeline.advanceTo(this.lab.timeline.now + fraction(this.#random) * 20_000);
  }

  #check(act: string): void {
    const { hosts, printer, gw, sites } = this.lab;
    for (const host of [printer, ...TENANTS.flatMap((tenant) => [hosts[tenant].vm, hosts[tenant].site])]) {
      if (host.counters.foreign > 0)
        throw new Error(`${host.name} of ${host.tenant} saw another tenant's packet after ${act}`);
      if (host.counters.refused > 0) throw new Error(`${host.name} of ${host.tenant} got a broken packet after ${act}`);
    }
    for (const node of [gw, sites]) {
      const waiting = node.gateway
        .connections(this.lab.timeline.now)
        .reduce((sum, connection) => sum + connection.waitingPackets, 0);
      if (node.pool.taken !== waiting)
        throw new Error(`${node.pool.taken} packets taken, ${waiting} waiting after ${act}`);
    }
  }

  #command(type: 'up' | 'down' | 'rekey', what: 'ike' | 'child'): void {
    const node: GatewayNode = this.#coin() ? this.lab.gw : this.lab.sites;
    const connection = node === this.lab.gw ? 'site' : 'hq';
    node.dispatch({ type, tenant: this.#tenant(), connection, what });
  }

  #terms = (): string => `start: demand\n        dpdSeconds: ${this.#dpd}`;
  #tenant = (): TenantName => this.#pick(TENANTS);
  #coin = (): boolean => fraction(this.#random) < 0.5;
  #pick = <T>(from: readonly T[]): T => from[Math.floor(fraction(this.#random) * from.length)]!;
}

/** Talk is most of it. */
const ACTS = [
  ...Array.from({ length: 8 }, () => 'talk' as const),
  'rekeyChild',
  'rekeyChild',
  'rekeyIke',
  'takeDown',
  'bringUp',
  'reload',
  'restart',
  'wait',
] as const;
