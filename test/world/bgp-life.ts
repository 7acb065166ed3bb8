/**
 * A random life of BGP between a gateway and the sites of two tenants: the same addresses, AS numbers and partly the same prefixes of both families, tunnels that
 * go and come, packets that are lost, documents that change, processes that begin again. After every step no tenant has a route that its own
 * side has never said; on a clean network what forwards is what the model says.
 */
import { fraction, type Random, seededRandom } from '../../src/core/index.ts';
import { type GatewayNode, resolveDocument } from '../../src/lab/index.ts';
import { Gateways } from '../gateway/bgp/world.ts';

const NAMES = ['contoso', 'woodgrove'] as const;
type Name = (typeof NAMES)[number];
const OUTER: Readonly<Record<Name, string>> = { contoso: '192.0.2.11', woodgrove: '192.0.2.12' };
const PSK = 'auth: { psk: { inline: a secret of more than sixteen octets } }';

/** Prefixes that a tenant may say at either end: its own, and those that both have. */
const prefixes = (second: number, name: Name): string[] => [
  ...[0, 1, 2].map((i) => `10.${second + i + (name === 'contoso' ? 0 : 10)}.0.0/16`),
  ...[20, 21, 22].map((i) => `10.${second + i}.0.0/16`),
  `fd00:${second}:${name === 'contoso' ? 1 : 2}::/48`,
  `fd00:${second}:20::/48`,
];
const isIpv4 = (prefix: string): boolean => !prefix.includes(':');
const listed = (networks: readonly string[]): string => networks.map((each) => `"${each}"`).join(', ');
const CANDIDATES = {
  contoso: { gw: prefixes(100, 'contoso'), site: prefixes(150, 'contoso') },
  woodgrove: { gw: prefixes(100, 'woodgrove'), site: prefixes(150, 'woodgrove') },
} as const;

interface Side {
  networks: readonly string[];
  holdSeconds: number;
  tunnelDown: string;
  readonly deferralSeconds: number;
  /** Whether the gateway aggregates what the site says. */
  aggregates: boolean;
}

/** What the gateway makes of all that a site may say, of each tenant another. */
const AGGREGATES: Readonly<Record<Name, string>> = { contoso: '10.128.0.0/9', woodgrove: '10.128.0.0/10' };

type End = 'gw' | 'site';

/** Two sessions between the same tenant's ends, each with addresses of its own: what one loses or refuses comes by the other. */
type Path = 'first' | 'second';
const PATHS = ['first', 'second'] as const;
const ADDRESSES: Readonly<Record<Path, Readonly<Record<End, string>>>> = {
  first: { gw: '10.1.0.1', site: '10.2.0.1' },
  second: { gw: '10.3.0.1', site: '10.4.0.1' },
};

export class BgpLife {
  readonly log: string[] = [];
  readonly world: Gateways;
  readonly #random: Random;
  readonly #sides: Record<Name, Record<End, Side>>;
  /** Prefixes that the gateway does not import from each router of a site. */
  readonly #refused: Record<Name, Record<Path, readonly string[]>> = {
    contoso: { first: [], second: [] },
    woodgrove: { first: [], second: [] },
  };

  constructor(seed: number) {
    this.#random = seededRandom(seed * 2 + 1);
    const side = (): Side => ({
      networks: [],
      holdSeconds: this.#pick([6, 30, 90]),
      tunnelDown: this.#pick(['drop', 'drop', 'retain', 'ignore']),
      deferralSeconds: this.#pick([0, 0, 15]),
      aggregates: false,
    });
    this.#sides = { contoso: { gw: side(), site: side() }, woodgrove: { gw: side(), site: side() } };
    for (const name of NAMES) for (const end of ['gw', 'site'] as const) this.#draw(name, end);
    this.world = new Gateways(this.#document('gw'), this.#document('site'), seed);
  }

  /** One thing happens, then some time passes. */
  step(): void {
    const act = this.#pick(ACTS);
    this.log.push(`${Math.round(this.world.timeline.now)} ${act}`);
    this[act]();
    this.world.run(this.#pick([5, 50, 500, 5_000, 30_000]) * (0.5 + fraction(this.#random)));
    const strange = this.strangers();
    if (strange.length > 0) throw new Error(`after ${act}: ${strange.join(', ')}`);
  }

  /** Routes that nobody of their tenant can have said. */
  strangers(): string[] {
    return NAMES.flatMap((name) =>
      (['gw', 'site'] as const).flatMap((end) => {
        const known: readonly string[] = CANDIDATES[name][end === 'gw' ? 'site' : 'gw'];
        const way = end === 'gw' ? 'hq' : 'cloud';
        const aggregate = end === 'gw' && !this.#sides[name].gw.aggregates ? '' : AGGREGATES[name];
        return this.#routes(name, end)
          .filter((route) => route !== `${aggregate} ${end === 'gw' ? 'discard' : 'cloud'}`)
          .filter((route) => !known.some((prefix) => route === `${prefix} ${way}`))
          .map((route) => `${name} at ${end}: ${route}`);
      }),
    );
  }

  /** A clean network, and time for everything to come back; how long it took, in milliseconds. */
  settle(): number {
    const { world } = this;
    world.outer.filter = () => true;
    world.outer.conditions = { ...world.outer.conditions, loss: 0, reorder: 0, duplicate: 0 };
    for (const tenant of NAMES) {
      world.gw.dispatch({ type: 'up', tenant, connection: 'hq', what: 'ike' });
      for (const peer of PATHS) world.gw.dispatch({ type: 'bgp', tenant, peer, what: 'start', text: '' });
    }
    const begun = world.timeline.now;
    for (let i = 0; i < 120 && this.disagreements().length > 0; i++) world.run(5_000);
    return world.timeline.now - begun;
  }

  /** Where what forwards is not what the documents of both ends make of it, or the tables are not what forwards. */
  disagreements(): string[] {
    return NAMES.flatMap((name) =>
      (['gw', 'site'] as const).flatMap((end) => {
        const { gw, site } = this.#sides[name];
        const networks = end === 'gw' ? site.networks.filter((each) => this.#isTaken(name, each)) : gw.networks;
        const aggregate = this.#aggregated(name) ? [AGGREGATES[name]] : [];
        const said = end === 'gw' ? networks : [...networks, ...aggregate];
        const discarded = end === 'gw' ? aggregate.map((each) => `${each} discard`) : [];
        const wanted = [...said.map((each) => `${each} ${end === 'gw' ? 'hq' : 'cloud'}`), ...discarded].sort();
        const forwards = this.#routes(name, end).sort();
        const chosen = this.#chosen(name, end).sort();
        return [
          ...differs(`${name} at ${end} forwards`, forwards, wanted),
          ...differs(`${name} at ${end} has chosen`, chosen, said.toSorted()),
        ];
      }),
    );
  }

  /** RFC 4271 §9.2.2.2: something contributes. */
  #aggregated(name: Name): boolean {
    const { gw, site } = this.#sides[name];
    return gw.aggregates && site.networks.some((each) => isIpv4(each) && this.#isTaken(name, each));
  }

  #isTaken(name: Name, prefix: string): boolean {
    return PATHS.some((path) => !this.#refused[name][path].includes(prefix));
  }

  #routes(name: Name, end: End): string[] {
    return this.world.routes(name, this.#node(end));
  }

  /** Best routes of the tables that a peer has said. */
  #chosen(name: Name, end: End): string[] {
    const routes = this.#node(end).gateway.bgp.routes(name, { offset: 0, limit: 1000 }) ?? [];
    return routes.flatMap(({ prefix, best, peer }) => (best && peer !== 'local' ? [prefix] : []));
  }

  #node(end: End): GatewayNode {
    return end === 'gw' ? this.world.gw : this.world.sites;
  }

  tunnelDown(): void {
    this.world.gw.dispatch({ type: 'down', tenant: this.#pick(NAMES), connection: 'hq', what: 'ike' });
  }

  tunnelUp(): void {
    this.world.gw.dispatch({ type: 'up', tenant: this.#pick(NAMES), connection: 'hq', what: 'ike' });
  }

  siteTunnelDown(): void {
    this.world.sites.dispatch({ type: 'down', tenant: this.#pick(NAMES), connection: 'cloud', what: 'ike' });
  }

  rekey(): void {
    const what = this.#pick(['ike', 'child'] as const);
    this.world.gw.dispatch({ type: 'rekey', tenant: this.#pick(NAMES), connection: 'hq', what });
  }

  loss(): void {
    const loss = this.#pick([0, 0.1, 0.3]);
    this.world.outer.conditions = { ...this.world.outer.conditions, loss, reorder: loss / 3, duplicate: loss / 3 };
  }

  silence(): void {
    const dark = this.#pick([undefined, 11, 12]);
    this.world.outer.filter = (packet) => dark === undefined || (packet[15] !== dark && packet[19] !== dark);
  }

  networks(): void {
    const end = this.#pick(['gw', 'site'] as const);
    this.#draw(this.#pick(NAMES), end);
    this.#apply(end);
  }

  aggregate(): void {
    const { gw } = this.#sides[this.#pick(NAMES)];
    gw.aggregates = !gw.aggregates;
    this.#apply('gw');
  }

  policy(): void {
    const name = this.#pick(NAMES);
    this.#refused[name][this.#pick(PATHS)] = CANDIDATES[name].site.filter(() => fraction(this.#random) < 0.5);
    this.#apply('gw');
  }

  holdTime(): void {
    const end = this.#pick(['gw', 'site'] as const);
    this.#sides[this.#pick(NAMES)][end].holdSeconds = this.#pick([6, 30, 90]);
    this.#apply(end);
  }

  clear(): void {
    const what = this.#pick(['reset', 'refresh-in', 'refresh-out'] as const);
    this.world.gw.dispatch({ type: 'bgp', tenant: this.#pick(NAMES), peer: this.#pick(PATHS), what, text: '' });
  }

  /** One of the two sessions at least stays wanted. */
  stop(): void {
    const [tenant, peer] = [this.#pick(NAMES), this.#pick(PATHS)];
    for (const each of PATHS)
      this.world.gw.dispatch({ type: 'bgp', tenant, peer: each, what: each === peer ? 'stop' : 'start', text: '' });
  }

  restartSites(): void {
    this.world.sites.restart();
  }

  restartGateway(): void {
    this.world.gw.restart();
  }

  #draw(name: Name, end: End): void {
    this.#sides[name][end].networks = CANDIDATES[name][end].filter(() => fraction(this.#random) < 0.5);
  }

  #apply(end: End): void {
    this.#node(end).apply(resolveDocument(this.#document(end)));
  }

  #document(end: End): string {
    const gw = end === 'gw';
    const external = gw ? '192.0.2.1' : '192.0.2.11, 192.0.2.12';
    return `version: 1
gateway: { name: ${end}, external: { addresses: [${external}] } }
tenants:${NAMES.map((name) => (gw ? this.#gwTenant(name) : this.#siteTenant(name))).join('')}
`;
  }

  #gwTenant(name: Name): string {
    const { networks, holdSeconds, tunnelDown, deferralSeconds, aggregates } = this.#sides[name].gw;
    const rejects = (prefixes: readonly string[]) =>
      prefixes.map((prefix) => `{ prefix: "${prefix}", action: reject }, `).join('');
    const peers = PATHS.map((path) => {
      const { gw, site } = ADDRESSES[path];
      const policies = `import: [${rejects(this.#refused[name][path])}{}], export: [${rejects(CANDIDATES[name].site)}{}]`;
      return `
        - { name: ${path}, address: ${site}, localAddress: ${gw}, asn: 65020, families: [ipv4, ipv6], ${policies}, holdSeconds: ${holdSeconds}, tunnelDown: ${tunnelDown} }`;
    });
    return `
  - name: ${name}
    interfaces: [{ name: inside, driver: fabric, addresses: [10.1.0.1/24, 10.3.0.1/24, "fd00:1::1/64"] }]
    connections:
      - name: hq
        local: { address: 192.0.2.1, id: gw.example }
        remote: { address: ${OUTER[name]}, id: ${name}.example }
        ${PSK}
        child: { local: [0.0.0.0/0, "::/0"], remote: [0.0.0.0/0, "::/0"] }
        routes: [10.2.0.1/32, 10.4.0.1/32, "fd00:2::1/128"]
        dpdSeconds: 10
        ike: { giveUpSeconds: 30 }
    bgp:
      asn: 65010
      networks: [${listed(networks)}]
      selectionDeferralSeconds: ${deferralSeconds}
      aggregates: [${aggregates ? `{ prefix: ${AGGREGATES[name]} }` : ''}]
      peers:${peers.join('')}`;
  }

  #siteTenant(name: Name): string {
    const { networks, holdSeconds, tunnelDown, deferralSeconds } = this.#sides[name].site;
    const peers = PATHS.map((path) => {
      const { gw, site } = ADDRESSES[path];
      return `
        - { name: ${path}, address: ${gw}, localAddress: ${site}, asn: 65010, families: [ipv4, ipv6], import: all, export: all, allowOwnAs: 1, holdSeconds: ${holdSeconds}, tunnelDown: ${tunnelDown} }`;
    });
    return `
  - name: ${name}
    interfaces: [{ name: inside, driver: fabric, addresses: [10.2.0.1/24, 10.4.0.1/24, "fd00:2::1/64"] }]
    connections:
      - name: cloud
        local: { address: ${OUTER[name]}, id: ${name}.example }
        remote: { address: 192.0.2.1, id: gw.example }
        ${PSK}
        child: { local: [0.0.0.0/0, "::/0"], remote: [0.0.0.0/0, "::/0"] }
        routes: [10.1.0.1/32, 10.3.0.1/32, "fd00:1::1/128"]
        start: listen
        dpdSeconds: 10
        ike: { giveUpSeconds: 30 }
    bgp:
      asn: 65020
      networks: [${listed(networks)}]
      selectionDeferralSeconds: ${deferralSeconds}
      peers:${peers.join('')}`;
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(fraction(this.#random) * from.length)]!;
  }
}

const ACTS = [
  'tunnelDown',
  'tunnelUp',
  'siteTunnelDown',
  'rekey',
  'loss',
  'silence',
  'networks',
  'networks',
  'aggregate',
  'policy',
  'holdTime',
  'clear',
  'stop',
  'restartSites',
  'restartGateway',
] as const;

function differs(what: string, is: readonly string[], wanted: readonly string[]): string[] {
  return is.join() === wanted.join() ? [] : [`${what} [${is.join(', ')}], not [${wanted.join(', ')}]`];
}
