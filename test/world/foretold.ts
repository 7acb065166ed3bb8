/**
 * Before a packet enters the gateway it is asked what would become of it (`trace`); a tap then says what did (`trace --live`). Both have
 * to say the same, stage by stage, and of each packet one thing only.
 *
 * Asked about are whole TCP segments, datagrams and pings that hosts bring in NVGRE or the router outside brings in frames; of what comes
 * by a tunnel the question is put afterwards, because nobody can read it before.
 */
import { fromHex } from '../../src/core/index.ts';
import type { GatewayAction, GatewayEvent, TraceOrder, TraceStage } from '../../src/gateway/index.ts';
import {
  ETHER_TYPE,
  ETHERNET_HEADER,
  echoIdentifier,
  etherType,
  findUpperLayer,
  flowRecord,
  formatAddress,
  formatMac,
  hopLimit,
  IP_PROTOCOL,
  ipVersion,
  isEchoReply,
  isEchoRequest,
  newUpperLayer,
  octetsOf,
  PASS,
  TCP_FLAG,
  tcpFlags,
} from '../../src/ip/index.ts';
import { NVGRE_HEADER, vsidOf } from '../../src/nvgre/index.ts';
import type { Bytes } from '../support/fabric/octets.ts';
import { GATEWAY_MAC } from '../support/fabric/plan.ts';
import type { FabricWorld } from '../support/fabric/world.ts';

type Tapped = Extract<GatewayAction, { do: 'tapped' }>['tapped'];

const QUERY = 77_777;
/** A tap takes 100 packets a second, those among them that it cannot tell of: of so many that were told nobody knows which was the last. */
const SAMPLES = 50;

export class Foretold {
  /** Packets whose end was foretold, by outcome. */
  readonly outcomes = new Map<string, number>();
  readonly #world: FabricWorld;
  readonly #dispatch: (event: GatewayEvent) => void;
  readonly #told: number[] = [];
  #gateway: unknown;
  #seen: GatewayAction[] = [];

  constructor(world: FabricWorld) {
    this.#world = world;
    const { gateway } = world;
    this.#dispatch = gateway.dispatch.bind(gateway);
    gateway.observe((action) => this.#seen.push(action));
    gateway.dispatch = (event) => this.#watch(event);
  }

  /** After a restart nothing is tapped. */
  tap(): void {
    this.#gateway = this.#world.gateway.gateway;
    this.#dispatch({ type: 'tap', query: QUERY, tenant: undefined });
  }

  #watch(event: GatewayEvent): void {
    if (this.#gateway !== this.#world.gateway.gateway) return this.#dispatch(event);
    const order = this.#orderOf(event);
    const foretold = order === undefined ? undefined : this.#ask(order);
    this.#seen = [];
    this.#dispatch(event);
    const { now } = this.#world.timeline;
    const told = this.#seen.flatMap((action) => (action.do === 'tapped' ? [action.tapped] : []));
    this.#told.push(...told.map(() => now));
    while (this.#told.length > 0 && this.#told[0]! < now - 1000) this.#told.shift();
    if (this.#told.length >= SAMPLES) return;
    if (foretold !== undefined) return this.#compare(describe(order!), foretold, told);
    for (const each of told) if (isOpened(each)) this.#askLater(each);
  }

  /** What came by a tunnel: its inner packet stands where it entered the tenant. */
  #askLater(tapped: Tapped): void {
    const { octets: inner } = tapped.points.find(({ point }) => point.startsWith(`${tapped.tenants[0]}/`))!;
    const octets = fromHex(inner);
    const order = questionOf(octets, tapped.tenants[0]!, 'site');
    const foretold = order === undefined ? undefined : this.#ask(order);
    if (foretold !== undefined) this.#compare(describe(order!), foretold, [tapped]);
  }

  #compare(what: string, foretold: readonly TraceStage[], told: readonly Tapped[]): void {
    const journeys = told.filter(({ stages }) => stages[0]?.decision !== 'this gateway');
    // Of what is cut the pieces are told, each by itself; what waits is told when it waits no more.
    if (foretold.some(({ decision }) => decision === 'cut into fragments')) return this.#count('cut');
    if (foretold.at(-1)!.waits === true) return this.#count('waits', journeys.length === 0, what, foretold, told);
    const [only, more] = journeys;
    const same = only !== undefined && more === undefined && isSame(foretold, only.stages);
    this.#count(only?.outcome ?? 'nothing', same, what, foretold, told);
  }

  #count(outcome: string, holds = true, what = '', foretold: readonly TraceStage[] = [], told: readonly Tapped[] = []) {
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
    if (holds) return;
    const lines = told.map(({ stages }) => inWords(stages).join('\n    ')).join('\n  and\n    ');
    this.#world.ledger.blame(`${what} foretold\n    ${inWords(foretold).join('\n    ')}\n  told\n    ${lines}`);
  }

  #ask(order: TraceOrder): readonly TraceStage[] | undefined {
    this.#seen = [];
    this.#dispatch({ type: 'trace', query: QUERY, order });
    const answer = this.#seen.find(({ do: what }) => what === 'traced' || what === 'query-refused');
    if (answer?.do === 'traced') return answer.stages;
    this.#world.ledger.blame(`${describe(order)}: ${answer?.do === 'query-refused' ? answer.why : 'no answer'}`);
    return undefined;
  }

  #orderOf(event: GatewayEvent): TraceOrder | undefined {
    if (event.type === 'underlay') return this.#ofHost(formatAddress(event.remote), octetsOf(event.packet));
    if (event.type !== 'packet' || event.tenant !== 'default') return undefined;
    const frame = octetsOf(event.packet);
    if (!isIp(frame, 0)) return undefined;
    return questionOf(frame.slice(ETHERNET_HEADER), 'default', 'outside');
  }

  /** Of a VM where the gateway knows it to be, to the gateway. */
  #ofHost(pa: string, gre: Bytes): TraceOrder | undefined {
    if (gre.length < NVGRE_HEADER + ETHERNET_HEADER || !isIp(gre, NVGRE_HEADER)) return undefined;
    const plan = this.#world.gatewayPlan;
    const vsid = vsidOf(gre, 0);
    const tenant = plan.tenants.find(({ subnets }) => subnets.some((subnet) => subnet.vsid === vsid));
    const [to, from] = [gre.slice(NVGRE_HEADER, NVGRE_HEADER + 6), gre.slice(NVGRE_HEADER + 6, NVGRE_HEADER + 12)];
    const vm = tenant?.vms.find((each) => each.vsid === vsid && each.mac === formatMac(from));
    const isThere = vm !== undefined && plan.hosts[vm.host]!.split(',').includes(pa);
    if (tenant === undefined || !isThere || formatMac(to) !== GATEWAY_MAC) return undefined;
    const packet = gre.slice(NVGRE_HEADER + ETHERNET_HEADER);
    const own = vm.addresses.find((text) => text.includes(':') === (ipVersion(packet, 0) === 6));
    return own === undefined ? undefined : questionOf(packet, tenant.name, own);
  }
}

/** Undefined: nobody can ask about such a packet. */
function questionOf(packet: Bytes, tenant: string, from: string): TraceOrder | undefined {
  const upper = newUpperLayer();
  if (findUpperLayer(packet, 0, packet.length, upper) !== PASS) return undefined;
  const { protocol, at, end, fragmentOffset, moreFragments } = upper;
  const flow = flowRecord(packet, 0, packet.length);
  if (fragmentOffset !== 0 || moreFragments || flow === undefined) return undefined;
  const version = ipVersion(packet, 0);
  const isIcmp = protocol === IP_PROTOCOL.icmp || protocol === IP_PROTOCOL.icmpv6;
  const asks = isIcmp && isEchoRequest(packet, at, end, version);
  if (isIcmp && !asks && !isEchoReply(packet, at, end, version)) return undefined;
  const flags = protocol === IP_PROTOCOL.tcp ? tcpFlags(packet, at) : 0;
  const opens = isIcmp
    ? asks
    : protocol !== IP_PROTOCOL.tcp || (flags & (TCP_FLAG.syn | TCP_FLAG.ack)) === TCP_FLAG.syn;
  const dontFragment = version === 4 && (packet[6]! & 0x40) !== 0;
  const identifier = isIcmp ? echoIdentifier(packet, at) : 0;
  const ports = isIcmp ? { sourcePort: identifier, destinationPort: identifier } : {};
  return {
    tenant,
    from,
    flow: { ...flow, ...ports },
    size: packet.length,
    hopLimit: hopLimit(packet, 0),
    dontFragment,
    opens,
  };
}

const isIp = (frame: Bytes, at: number): boolean =>
  etherType(frame, at) === ETHER_TYPE.ipv4 || etherType(frame, at) === ETHER_TYPE.ipv6;

const isOpened = ({ stages, points }: Tapped): boolean =>
  stages[0]?.decision.startsWith('ESP, ') === true && points.length > 0;

/** `switch` is what the host of the VM decided, which no tap here sees. */
const inWords = (stages: readonly TraceStage[]): string[] =>
  stages.flatMap(({ stage, decision, drop }) => {
    if (stage === 'switch') return [];
    return [drop === undefined ? `${stage}: ${decision}` : `dropped: ${drop}`];
  });

/** Where the port is one by chance, what follows from it is left out. A drop may be noticed on the way into the next stage. */
function isSame(foretold: readonly TraceStage[], told: readonly TraceStage[]): boolean {
  const [before, after] = [inWords(foretold), inWords(told)];
  const chance = before.findIndex((line) => line.endsWith(', a port by chance'));
  if (chance >= 0) {
    const address = before[chance]!.split(',')[0]!;
    return (
      after[chance]?.startsWith(`${address}:`) === true &&
      before.slice(0, chance).join() === after.slice(0, chance).join()
    );
  }
  if (before.at(-1)?.startsWith('dropped') !== true) return before.join('\n') === after.join('\n');
  const shared = Math.min(before.length, after.length) - 1;
  return before.at(-1) === after.at(-1) && before.slice(0, shared).join() === after.slice(0, shared).join();
}

const describe = ({ tenant, from, flow, size }: TraceOrder): string =>
  `${tenant} from ${from}: ${flow.protocol} ${formatAddress(flow.source)}:${flow.sourcePort} > ${formatAddress(flow.destination)}:${flow.destinationPort}, ${size} octets`;
