/**
 * A gateway with two tenants whose addresses are the same, a BGP peer at each, and a clock by which work takes time.
 *
 * One event after the other, as a host has them: what the gateway is told waits in a queue, and its deadline is looked at between bursts of
 * packets. The peers are other machines: they are never busy.
 */
import { encodeControlMessage, Framer, IPV4_UNICAST, KEEPALIVE, MESSAGE } from '../../../src/bgp/message/index.ts';
import { type Bytes, concat, type Millis, seededRandom } from '../../../src/core/index.ts';
import { md5 } from '../../../src/crypto/index.ts';
import { BgpTransport } from '../../../src/gateway/bgp/transport.ts';
import { Gateway, type GatewayEvent } from '../../../src/gateway/index.ts';
import { octetsOf, PacketPool } from '../../../src/ip/index.ts';
import { resolveDocument } from '../../../src/lab/index.ts';
import { addr } from '../../support/packets.ts';

export const TENANTS = ['blue', 'red'] as const;
export type TenantName = (typeof TENANTS)[number];
export const PEER = addr('10.1.0.9');
export const PEER_AS = 30_844;
const GATEWAY = addr('10.1.0.1');
const GATEWAY_AS = 64_900;

export const loadDocument = (): string => `version: 1
gateway: { name: gw, external: { addresses: [192.0.2.1] } }
tenants:${TENANTS.map(
  (name) => `
  - name: ${name}
    interfaces:
      - { name: inside, driver: fabric, addresses: [10.1.0.1/24] }
      - { name: other, device: bh2-${name}, driver: fabric, addresses: [10.3.0.1/24] }
    bgp:
      asn: ${GATEWAY_AS}
      networks: [10.1.0.0/24]
      peers: [{ name: site, address: 10.1.0.9, asn: ${PEER_AS}, import: all, export: all, holdSeconds: ${name === 'blue' ? 3 : 90} }]`,
).join('')}
`;

/** Whoever speaks BGP from `PEER`: established as soon as it is asked, and then says KEEPALIVE every second. */
class Site {
  readonly transport: BgpTransport;
  /** When octets of the gateway came, and what ended the session. */
  readonly heardAt: Millis[] = [];
  readonly ends: string[] = [];
  readonly #framer = new Framer();
  readonly #hold: number;
  #connection: number | undefined;
  #keepaliveAt = Number.POSITIVE_INFINITY;

  constructor(hold: number, seed: number, emit: (octets: Bytes) => void, clock: () => Millis) {
    this.#hold = hold;
    this.transport = new BgpTransport({
      random: seededRandom(seed),
      md5,
      mtu: () => 1500,
      sourceTowards: () => PEER,
      emit,
      tell: (_, event) => {
        if (event.type === 'connected') this.#begin(event.connection, clock());
        else if (event.type === 'received') this.#hear(event.octets, clock());
        else if (event.type === 'closed') this.ends.push(event.why);
      },
    });
    this.transport.setPeer({ name: 'gw', address: GATEWAY, localAddress: undefined, port: 179, tcp: {} });
  }

  get dueAt(): Millis {
    return Math.min(this.#keepaliveAt, this.transport.deadline()?.at ?? Number.POSITIVE_INFINITY);
  }

  tick(now: Millis): void {
    if (this.#keepaliveAt <= now) {
      this.#keepaliveAt = now + 1000;
      this.say(encodeControlMessage(KEEPALIVE), now);
    }
    this.transport.tick(now);
  }

  say(octets: Bytes, now: Millis): void {
    if (this.#connection !== undefined) this.transport.send('gw', this.#connection, octets, now);
  }

  close(now: Millis): void {
    if (this.#connection !== undefined) this.transport.close('gw', this.#connection, true, now);
    this.#keepaliveAt = Number.POSITIVE_INFINITY;
  }

  #begin(connection: number, now: Millis): void {
    this.#connection = connection;
    const capabilities = [
      { name: 'multiprotocol', family: IPV4_UNICAST },
      { name: 'fourOctetAs', asn: PEER_AS },
    ] as const;
    const open = { kind: 'open', version: 4, myAs: PEER_AS, holdSeconds: this.#hold, identifier: 9 } as const;
    this.say(concat(encodeControlMessage({ ...open, capabilities }), encodeControlMessage(KEEPALIVE)), now);
    this.#keepaliveAt = now + 1000;
  }

  #hear(octets: Bytes, now: Millis): void {
    this.heardAt.push(now);
    this.#framer.push(octets);
    for (let frame = this.#framer.next(); frame?.ok; frame = this.#framer.next())
      if (frame.type === MESSAGE.NOTIFICATION) this.ends.push(`NOTIFICATION ${frame.octets[19]}/${frame.octets[20]}`);
  }
}

export interface LoadOptions {
  /** How long the gateway takes for what it does at once, by what changes in the FIBs. */
  readonly cost: (changes: number) => Millis;
  /** Measures instead. */
  readonly clock?: () => Millis;
}

export class Load {
  readonly gateway: Gateway;
  readonly sites: Readonly<Record<TenantName, Site>>;
  now: Millis = 1000;
  /** Most changes in the FIBs, and most time, of what was done at once. */
  mostChanges = 0;
  longest: Millis = 0;
  /** Time that the gateway had. */
  worked: Millis = 0;
  #changes = 0;
  readonly #options: LoadOptions;
  readonly #pool = new PacketPool(4096);
  readonly #toGateway: { readonly tenant: TenantName; readonly octets: Bytes }[] = [];
  readonly #toSites: { readonly tenant: TenantName; readonly octets: Bytes }[] = [];

  constructor(options: LoadOptions) {
    this.#options = options;
    this.gateway = new Gateway({ random: seededRandom(1), pool: this.#pool });
    const site = (tenant: TenantName, hold: number, seed: number) =>
      new Site(
        hold,
        seed,
        (octets) => void this.#toGateway.push({ tenant, octets }),
        () => this.now,
      );
    this.sites = { blue: site('blue', 3, 2), red: site('red', 90, 3) };
    this.apply(loadDocument());
    for (const tenant of TENANTS) this.#watch(tenant);
  }

  apply(document: string): void {
    this.handle({ type: 'apply', resolved: resolveDocument(document) });
  }

  routeCount(tenant: TenantName): number {
    return this.gateway.compartment(tenant)?.routeCount ?? 0;
  }

  /** Longest time in which a site heard nothing, since then. */
  silence(tenant: TenantName, since: Millis): Millis {
    const times = [since, ...this.sites[tenant].heardAt.filter((at) => at > since), this.now];
    return Math.max(...times.slice(1).map((at, i) => at - times[i]!));
  }

  handle(event: GatewayEvent): void {
    const { clock, cost } = this.#options;
    this.#changes = 0;
    const begun = clock?.() ?? 0;
    for (const action of this.gateway.handle(event, this.now)) {
      if (action.do !== 'packet') continue;
      if (action.interface === 'inside')
        this.#toSites.push({ tenant: action.tenant as TenantName, octets: octetsOf(action.packet).slice() });
      this.#pool.release(action.packet);
    }
    const taken = clock === undefined ? cost(this.#changes) : clock() - begun;
    this.now += taken;
    this.worked += taken;
    this.longest = Math.max(this.longest, taken);
    this.mostChanges = Math.max(this.mostChanges, this.#changes);
  }

  /** Until a time, or until something is so. */
  run(until: Millis, isDone: () => boolean = () => false): void {
    while (this.now < until && !isDone()) {
      for (const packet of this.#toSites.splice(0)) this.sites[packet.tenant].transport.packet(packet.octets, this.now);
      for (const site of Object.values(this.sites)) if (site.dueAt <= this.now) site.tick(this.now);
      if ((this.gateway.deadline()?.at ?? Number.POSITIVE_INFINITY) <= this.now) this.handle({ type: 'tick' });
      for (const begun = this.now; this.#toGateway.length > 0 && this.now < begun + BURST; ) {
        const { tenant, octets } = this.#toGateway.shift()!;
        const packet = this.#pool.from(octets);
        if (packet !== undefined) this.handle({ type: 'packet', tenant, interface: 'inside', packet });
      }
      if (this.#toGateway.length > 0 || this.#toSites.length > 0) continue;
      if (isDone()) return;
      const due = [this.gateway.deadline()?.at ?? until, ...Object.values(this.sites).map(({ dueAt }) => dueAt)];
      this.now = Math.min(until, Math.max(this.now, Math.min(...due)));
    }
  }

  /** Every route that comes and goes is counted. */
  #watch(tenant: TenantName): void {
    const compartment = this.gateway.compartment(tenant)!;
    const { addRoute, removeRoute } = Object.getPrototypeOf(compartment) as typeof compartment;
    compartment.addRoute = (...words) => {
      this.#changes += 1;
      return addRoute.apply(compartment, words);
    };
    compartment.removeRoute = (...words) => {
      this.#changes += 1;
      return removeRoute.apply(compartment, words);
    };
  }
}

/** How long a host takes packets before it looks at the deadline. */
const BURST: Millis = 10;
