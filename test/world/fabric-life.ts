/**
 * A random life of a hoster: tenants with the same prefixes, MACs and names of VMs, on three hosts and behind one gateway. VMs come,
 * move and go, tenants too; NAT addresses and rules change; machines restart; the provider network loses, doubles and reorders.
 * Meanwhile everybody talks, and some send what is not theirs.
 *
 * After each step: nothing was heard but where it was meant (the ledger), NAT is what a naive model makes of what came out, each
 * packet at the gateway has one explanation, which `trace` gave before it came (`foretold.ts`), every timer is finite, tables and pool are
 * within bounds. Some lives are with IPv6 inside, and some with GRE in UDP.
 */
import { fraction, type Random, seededRandom } from '../../src/core/index.ts';
import {
  buildIp,
  buildUdp,
  ETHER_TYPE,
  formatAddress,
  IP_PROTOCOL,
  ipv4Number,
  parseMac,
  writeEthernet,
} from '../../src/ip/index.ts';
import { NAT_LIMITS } from '../../src/nat/index.ts';
import { ROUTER_MAC } from '../../src/nvgre/router.ts';
import { GATEWAY_MAC, type TenantPlan, type WorldPlan } from '../support/fabric/plan.ts';
import type { Station } from '../support/fabric/station.ts';
import { DNS, FabricWorld, WEB, WEB6 } from '../support/fabric/world.ts';
import { addr } from '../support/packets.ts';
import { Foretold } from './foretold.ts';
import { NatView } from './nat-view.ts';

interface TenantState {
  readonly name: string;
  readonly vsid: number;
  /** Of its two subnets: `10.1` is 10.1.0.0/24 and 10.2.0.0/24. */
  readonly prefixes: readonly [string, string];
  /** The same for IPv6. */
  readonly prefixes6: readonly [string, string];
  readonly site: string | undefined;
  /** Undefined: routed directly. */
  external: string | undefined;
  /** Host of each VM. */
  readonly vms: Map<string, string>;
  /** VM of each external UDP port. */
  readonly rules: Map<number, string>;
}

const HOSTS = { host1: '192.168.50.21', host2: '192.168.50.22', host3: '192.168.50.23' } as const;
const HOST_NAMES = Object.keys(HOSTS);
/** In the first subnet and in the second. */
const VMS = { a: [0, 10], b: [0, 11], c: [1, 10], d: [1, 11] } as const;
type VmName = keyof typeof VMS;
const VM_NAMES = Object.keys(VMS) as VmName[];
const SAME = ['10.1.0', '10.2.0'] as const;
const SAME6 = ['fd00:1', 'fd00:2'] as const;
const CATALOGUE = [
  { name: 'blue', vsid: 5001, prefixes: SAME, prefixes6: SAME6, site: '192.0.2.11' },
  { name: 'red', vsid: 6001, prefixes: SAME, prefixes6: SAME6, site: '192.0.2.12' },
  { name: 'gray', vsid: 7001, prefixes: SAME, prefixes6: SAME6, site: undefined },
  { name: 'green', vsid: 8001, prefixes: ['10.7.0', '10.8.0'], prefixes6: ['fd00:7', 'fd00:8'], site: undefined },
] as const;
const POOL = Array.from({ length: 8 }, (_, i) => `203.0.113.${50 + i}`);
const SERVER = '10.9.0.10';
/** Nobody's in the provider network. */
const STRANGER = '192.168.50.99';

/** How often each happens, beside the others. */
const WEIGHTS = {
  talk: 3,
  talkOutside: 3,
  fromOutside: 2,
  hairpin: 2,
  site: 2,
  move: 2,
  moveSlowly: 1,
  comeOrGo: 1,
  rule: 1,
  readdress: 1,
  tenantComesOrGoes: 1,
  reload: 1,
  restartHost: 1,
  restartGateway: 1,
  flush: 1,
  lie: 2,
  forge: 1,
  wait: 1,
} as const;
const ACTS = (Object.keys(WEIGHTS) as (keyof typeof WEIGHTS)[]).flatMap((act) =>
  Array.from({ length: WEIGHTS[act] }, () => act),
);

export class FabricLife {
  readonly world: FabricWorld;
  readonly log: string[] = [];
  readonly nat: NatView;
  readonly foretold: Foretold;
  readonly #random: Random;
  readonly #tenants = new Map<string, TenantState>();
  readonly #planes: number | undefined;
  /** VMs have addresses of both families. */
  readonly #dual: boolean;
  readonly #encapsulation: 'nvgre' | 'nvgre-udp';

  constructor(seed: number) {
    this.#random = seededRandom(seed * 2 + 1);
    this.#planes = seed % 4 === 3 ? 2 : undefined;
    this.#dual = seed % 3 === 1;
    this.#encapsulation = seed % 5 === 2 ? 'nvgre-udp' : 'nvgre';
    for (const { name } of CATALOGUE) if (name === 'blue' || name === 'red' || this.#coin()) this.#found(name);
    const conditions = { loss: 0.1, jitter: 3, duplicate: 0.05, reorder: 0.1 };
    this.world = new FabricWorld(this.#plan(), {
      seed,
      conditions,
      ...(this.#planes === undefined ? {} : { planes: this.#planes }),
    });
    this.nat = new NatView(this.world, (tenant) => this.#tenants.get(tenant)?.external);
    this.foretold = new Foretold(this.world);
    this.foretold.tap();
    this.world.ledger.seen = (question, packet) => this.nat.seen(question, packet);
  }

  /** One thing happens, then some time passes. */
  step(): void {
    const act = this.#pick(ACTS);
    this.log.push(`${Math.round(this.world.timeline.now)} ${act}`);
    this[act]();
    this.world.run(20 + fraction(this.#random) * 300);
    this.check(act);
  }

  /** The network is clean, everybody has the last document: all are reached, and at last nothing is left of it. */
  recover(): void {
    const { world } = this;
    world.provider.conditions = { ...world.provider.conditions, loss: 0, duplicate: 0, reorder: 0 };
    world.apply(this.#plan());
    world.run(30_000);
    this.check('quiet');
    for (const { pool } of world.nodes()) if (pool.taken > 0) throw new Error(`${pool.taken} slots taken by nobody`);
    // Twice: more packets than may wait for the router outside come at once, until it is known.
    this.#askAll();
    const asked = this.#askAll();
    this.check('recovery');
    for (const question of asked) {
      const { what, from, answered } = world.ledger.questions[question]!;
      if (answered === 0) throw new Error(`${from.label} is not answered: ${what}`);
    }
  }

  /** Everything is switched off. */
  end(): void {
    const { world } = this;
    for (const node of world.nodes()) node.dispatch({ type: 'shutdown' });
    world.run(120_000);
    for (const { pool, done, open } of world.nodes())
      if (pool.taken > 0 || !done || open.size > 0)
        throw new Error(`the end: ${pool.taken} taken, ${done ? '' : 'not '}done, ${[...open].join()} open`);
  }

  check(act: string): void {
    const { world } = this;
    const { ledger, timeline } = world;
    if (ledger.blamed.length > 0) throw new Error(`after ${act}: ${ledger.blamed.join('\n')}`);
    for (const node of world.nodes()) {
      const deadline = node.deadline();
      if (deadline !== undefined && !Number.isFinite(deadline.at)) throw new Error(`a timer: ${deadline.why}`);
      if (deadline !== undefined && deadline.at < timeline.now - 1) throw new Error(`a timer is late: ${deadline.why}`);
      if (node.pool.counters.refused > 0) throw new Error('the pool was too small');
    }
    for (const { name, external } of this.#tenants.values()) {
      if (external === undefined) continue;
      const sessions = world.sessions(name);
      if (sessions.length > NAT_LIMITS.sessions) throw new Error(`${sessions.length} NAT sessions`);
      this.nat.agrees(name, sessions);
    }
  }

  // What happens.

  talk(): void {
    const tenant = this.#tenant();
    for (let i = this.#below(8); i >= 0; i--) {
      const [from, to] = [this.#vm(tenant), this.#pick(VM_NAMES)];
      if (from === undefined || from.name === to) continue;
      if (this.#dual && this.#coin()) this.#ask6(from, this.#address6(tenant, to));
      else this.#ask(from, this.#address(tenant, to));
    }
  }

  talkOutside(): void {
    const tenant = this.#tenant();
    for (let i = this.#below(6); i >= 0; i--) {
      const from = this.#vm(tenant);
      if (from === undefined) continue;
      if (this.#dual && this.#coin()) this.#ask6(from, this.#pick([WEB6, this.#routers(tenant)]));
      else this.#ask(from, this.#pick([WEB, DNS]));
    }
  }

  /** By rules, to directly routed VMs, and to what nobody opened. */
  fromOutside(): void {
    const { web, dns } = this.world;
    const tenant = this.#tenant();
    const { external, vms } = tenant;
    if (external === undefined) {
      for (const name of vms.keys()) this.#ask(web, this.#address(tenant, name), this.world.vm(tenant.name, name));
      return;
    }
    for (const [to, vm] of tenant.rules) {
      const meant = vms.has(vm) ? this.world.vm(tenant.name, vm) : undefined;
      web.udp(addr(external), { to, port: 4000 + this.#below(4), meant });
    }
    dns.udp(addr(external), { to: 100 + this.#below(800), meant: undefined });
    dns.tcp(addr(this.#pick(POOL)), { to: 80, meant: undefined });
  }

  /** To a rule of one's own tenant or another's, by the external address. */
  hairpin(): void {
    const [tenant, other] = [this.#tenant(), this.#tenant()];
    const from = this.#vm(tenant);
    if (from === undefined || other.external === undefined) return;
    for (const [to, vm] of other.rules) {
      const meant = other.vms.has(vm) ? this.world.vm(other.name, vm) : undefined;
      from.udp(addr(other.external), { to, port: 5000 + this.#below(4), meant });
    }
  }

  site(): void {
    const tenant = this.#tenant();
    const from = this.#vm(tenant);
    if (tenant.site === undefined || from === undefined) return;
    const server = this.world.site(tenant.name, 'server');
    if (this.#below(4) === 0) this.#ask(server, `${tenant.prefixes[0]}.1`, undefined);
    else if (this.#coin()) this.#ask(from, SERVER, server);
    else this.#ask(server, formatAddress(from.addresses[0]!), from);
  }

  move(): void {
    this.#moveOne();
    this.world.apply(this.#plan());
  }

  /** Each machine reads its document when it comes to it. */
  moveSlowly(): void {
    this.#moveOne();
    const plan = this.#plan();
    const all = [
      ...HOST_NAMES.map((name) => () => this.world.applyHost(name, plan)),
      () => this.world.applyGateway(plan),
    ];
    while (all.length > 0) {
      all.splice(this.#below(all.length), 1)[0]!();
      this.talk();
      this.world.run(fraction(this.#random) * 30);
    }
  }

  comeOrGo(): void {
    const { vms } = this.#tenant();
    const name = this.#pick(VM_NAMES);
    this.#quiet();
    if (!vms.delete(name)) vms.set(name, this.#pick(HOST_NAMES));
    this.world.apply(this.#plan());
  }

  rule(): void {
    const tenant = this.#tenant();
    if (tenant.external === undefined) return;
    this.#quiet();
    const port = 1000 + this.#below(3);
    if (!tenant.rules.delete(port)) tenant.rules.set(port, this.#pick(VM_NAMES));
    this.nat.forget(tenant.name);
    this.world.apply(this.#plan());
  }

  readdress(): void {
    const tenant = this.#tenant();
    if (tenant.external === undefined) return;
    this.#quiet();
    const wanted = this.#pick(POOL);
    // Who has it gets the other one.
    const other = [...this.#tenants.values()].find(({ external }) => external === wanted);
    if (other !== undefined) other.external = tenant.external;
    tenant.external = wanted;
    for (const { name } of [tenant, other ?? tenant]) this.nat.forget(name);
    this.world.apply(this.#plan());
  }

  tenantComesOrGoes(): void {
    const { name } = this.#pick(CATALOGUE);
    this.#quiet();
    if (this.#tenants.size > 2 && this.#tenants.delete(name)) this.nat.forget(name);
    else if (!this.#tenants.has(name)) this.#found(name);
    this.world.apply(this.#plan());
  }

  reload(): void {
    this.world.apply(this.#plan());
  }

  restartHost(): void {
    this.world.hosts.get(this.#pick(HOST_NAMES))!.restart();
  }

  /** Or its data plane, where others host it. */
  restartGateway(): void {
    this.#quiet();
    for (const { name } of CATALOGUE) this.nat.forget(name);
    if (this.#planes === undefined) this.world.gateway.restart();
    else {
      const plane = this.#below(this.#planes);
      this.world.gateway.dispatch({ type: 'plane-restarted', plane, why: 'was lost' });
    }
    this.foretold.tap();
  }

  flush(): void {
    const { name } = this.#tenant();
    this.#quiet();
    this.nat.forget(name);
    this.world.gateway.dispatch({ type: 'flush-nat', tenant: name, query: 0, filter: {} });
  }

  /** A VM sends as another one, and says that it is. */
  lie(): void {
    const tenant = this.#tenant();
    const from = this.#vm(tenant);
    if (from === undefined) return;
    const [prefix] = tenant.prefixes;
    const other = `${prefix}.${this.#pick([1, 12, 77, formatAddress(from.addresses[0]!).endsWith('.10') ? 11 : 10])}`;
    if (formatAddress(from.addresses[0]!) === other) return;
    from.udp(addr(this.#pick([WEB, this.#address(tenant, this.#pick(VM_NAMES)), SERVER])), {
      source: addr(other),
      meant: undefined,
    });
    const nic = this.world.nic(tenant.name, from.name);
    nic.sayArp(this.#coin() ? 1 : 2, ipv4Number(addr(other)), ipv4Number(addr(other)));
  }

  /** Somebody in the provider network who is nobody sends frames of every tenant's VSIDs. */
  forge(): void {
    for (const { vsid, prefixes } of CATALOGUE) {
      const to = this.#pick(['192.168.50.10', ...Object.values(HOSTS)]);
      const question = this.world.ledger.ask(this.world.web, undefined, 'forged');
      const packet = buildUdp(
        {
          source: addr(`${prefixes[0]}.${this.#pick([1, 10, 11])}`),
          destination: addr(this.#pick([WEB, `${prefixes[0]}.10`, `${prefixes[1]}.11`, SERVER])),
          sourcePort: 5000,
          destinationPort: 7,
        },
        new TextEncoder().encode(`#${question} ask `),
      );
      const octets = new Uint8Array(22 + packet.length);
      const id = vsid + this.#below(2);
      octets.set([0x20, 0, 0x65, 0x58, id >>> 16, id >>> 8, id, this.#below(256)]);
      const macs = [parseMac(GATEWAY_MAC)!, ROUTER_MAC, parseMac('00:15:5d:00:00:10')!, parseMac('00:15:5d:00:00:11')!];
      writeEthernet(octets, 8, this.#pick(macs), this.#pick(macs), ETHER_TYPE.ipv4);
      octets.set(packet, 22);
      const ends = { source: addr(STRANGER), destination: addr(to) };
      this.world.provider.send(buildIp({ ...ends, protocol: IP_PROTOCOL.gre }, octets));
    }
  }

  wait(): void {
    this.world.router.neighbours.clear();
    this.world.run(fraction(this.#random) * 100_000);
  }

  // What there is.

  #plan(): WorldPlan {
    return {
      underlay: '192.168.50.10',
      encapsulation: this.#encapsulation,
      hosts: HOSTS,
      tenants: [...this.#tenants.values()].map((t) => this.#planOf(t)),
    };
  }

  #planOf(tenant: TenantState): TenantPlan {
    const { name, vsid, prefixes, prefixes6, site, external, vms, rules } = tenant;
    const both = (v4: string, v6: string): string[] => (this.#dual ? [v4, v6] : [v4]);
    const written = [...rules].map(
      ([port, vm]) => `{ protocol: udp, externalPort: ${port}, to: "${this.#address(tenant, vm as VmName)}:7" }`,
    );
    return {
      name,
      subnets: prefixes.map((prefix, i) => ({
        vsid: vsid + i,
        prefixes: both(`${prefix}.0/24`, `${prefixes6[i]}::/64`),
      })),
      vms: [...vms].map(([vm, host]) => {
        const [subnet, last] = VMS[vm as VmName];
        const mac = `00:15:5d:00:0${subnet}:${last}`;
        const addresses = both(this.#address(tenant, vm), this.#address6(tenant, vm));
        return { name: vm, vsid: vsid + subnet, mac, addresses, host };
      }),
      ...(external === undefined
        ? { direct: true }
        : { nat: `{ address: ${external}, rules: [${written.join(', ')}] }` }),
      ...(site === undefined ? {} : { site: { gateway: site, prefix: '10.9.0.0/24', hosts: { server: SERVER } } }),
    };
  }

  #found(name: string): void {
    const known = CATALOGUE.find((each) => each.name === name)!;
    const free = POOL.filter((address) => ![...this.#tenants.values()].some(({ external }) => external === address));
    const external = name === 'green' ? undefined : this.#pick(free);
    const vms = new Map(VM_NAMES.filter(() => this.#below(4) > 0).map((vm) => [vm as string, this.#pick(HOST_NAMES)]));
    const rules = new Map([[1000 + this.#below(3), this.#pick(VM_NAMES) as string]]);
    this.#tenants.set(name, { ...known, external, vms, rules });
  }

  /** Every VM asks inside, outside and its site: the questions, when they are answered. */
  #askAll(): number[] {
    const { world } = this;
    const asked: number[] = [];
    for (const tenant of this.#tenants.values())
      for (const name of tenant.vms.keys()) {
        const from = world.vm(tenant.name, name);
        asked.push(from.ping(addr(this.#pick([WEB, DNS]))), from.tcp(addr(WEB), { port: 7000 }));
        const [to] = this.#pick([...tenant.vms]);
        if (to !== name) asked.push(from.udp(addr(this.#address(tenant, to))));
        if (to !== name && this.#dual) asked.push(from.ping(addr(this.#address6(tenant, to))));
        if (tenant.external === undefined && this.#dual) asked.push(from.udp(addr(WEB6)));
        if (tenant.site !== undefined) asked.push(from.udp(addr(SERVER), { meant: world.site(tenant.name, 'server') }));
      }
    world.run(20_000);
    return asked;
  }

  #moveOne(): void {
    const { vms } = this.#tenant();
    if (vms.size > 0) vms.set(this.#pick([...vms.keys()]), this.#pick(HOST_NAMES));
  }

  #address({ prefixes }: TenantState, vm: string): string {
    const [subnet, last] = VMS[vm as VmName];
    return `${prefixes[subnet]}.${last}`;
  }

  #address6({ prefixes6 }: TenantState, vm: string): string {
    const [subnet, last] = VMS[vm as VmName];
    return `${prefixes6[subnet]}::${last}`;
  }

  #vm({ name, vms }: TenantState): Station | undefined {
    return vms.size === 0 ? undefined : this.world.vm(name, this.#pick([...vms.keys()]));
  }

  #ask(from: Station, to: string, meant = this.world.ledger.at(from.tenant, addr(to))): void {
    const options = { port: 5000 + this.#below(4), meant };
    const how = this.#below(3);
    if (how === 0) from.ping(addr(to), { ...options, size: 20 + this.#below(3000) });
    else if (how === 1) from.udp(addr(to), { ...options, size: 20 + this.#below(3000) });
    else from.tcp(addr(to), options);
  }

  /** IPv6 is not cut on its way, and what is too large is only told so. */
  #ask6(from: Station, to: string): void {
    const options = { port: 5000 + this.#below(4) };
    const how = this.#below(3);
    if (how === 0) from.ping(addr(to), { ...options, size: 20 + this.#below(1400) });
    else if (how === 1) from.udp(addr(to), { ...options, size: 20 + this.#below(1400) });
    else from.tcp(addr(to), options);
  }

  /** The gateway's, or the distributed router's, in the first subnet. */
  #routers = ({ prefixes6 }: TenantState): string => `${prefixes6[0]}::1`;

  /** So long that no packet is under way any more: what comes late to an address or port that changed hands is another's. */
  #quiet(): void {
    this.world.run(5000);
    this.check('quiet');
  }

  #tenant = (): TenantState => this.#pick([...this.#tenants.values()]);
  #below = (end: number): number => Math.floor(fraction(this.#random) * end);
  #coin = (): boolean => fraction(this.#random) < 0.5;
  #pick = <T>(from: readonly T[]): T => from[this.#below(from.length)]!;
}
