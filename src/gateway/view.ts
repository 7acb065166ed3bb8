/**
 * What people see of a gateway: plain JSON made from the books, problems first.
 *
 * Leaves to others: moments in time (the core knows durations only), memory, sockets' own counters. No secret is read here.
 */
import type { Millis } from '../core/index.ts';
import { toHex } from '../core/index.ts';
import { SA_CELL } from '../esp/index.ts';
import { type Connection, formatIdentity, type IkeSa } from '../ike/index.ts';
import { dropsByName, formatAddress, formatEndpoint, formatPrefix, formatSelector } from '../ip/index.ts';
import type { Books } from './books.ts';
import { type PlaneSa, POOL_AT } from './dataplane/index.ts';
import type {
  ChildSaStatus,
  ConnectionState,
  ConnectionStatus,
  GatewayStatus,
  IkeSaStatus,
  InterfaceStatus,
  Problem,
  TenantStatus,
} from './status.ts';
import type { Tenant } from './tenant.ts';
import type { Child, Tunnel } from './tunnel.ts';

export function viewGateway(books: Books, now: Millis): GatewayStatus {
  const connections = viewConnections(books, now);
  const failures = [...books.tunnels.values()].flatMap((tunnel, i) =>
    isOvercome(books, tunnel) ? [] : connectionProblem(connections[i]!),
  );
  const problems = [...planeProblems(books), ...listenerProblems(books), ...interfaceProblems(books), ...failures];
  const passing = books.planeCells().slice(books.options.remote === undefined ? 0 : 1);
  const pools = (index: number): number => passing.reduce((sum, cells) => sum + cells[POOL_AT + index]!, 0);
  return {
    name: books.resolved?.document.gateway.name ?? '',
    version: books.version,
    upSeconds: seconds(now - books.startedAt),
    state: books.stopping ? 'stopping' : problems.some((p) => p.severity === 'error') ? 'degraded' : 'ok',
    problems,
    listen: books.listeners.flatMap(({ address, rawEsp, problem }) => {
      if (problem !== undefined) return [];
      const { ike, natt } = books.resolved!.document.gateway.external.ports;
      const text = formatAddress(address);
      const udp = [ike, natt].map((port) => ({ address: text, port, carrier: 'udp' as const }));
      return rawEsp ? [...udp, { address: text, port: 0, carrier: 'ip-50' as const }] : udp;
    }),
    tenants: books.tenants.size,
    connections: {
      total: connections.length,
      up: connections.filter(isUp).length,
      failed: connections.filter((c) => c.lastFailure !== undefined && !isUp(c)).length,
    },
    ikeSas: books.ike.sas.size,
    ikeAccepted: books.ike.counters.get(ACCEPTED) ?? 0,
    halfOpen: books.ike.halfOpen,
    childSas: connections.reduce((sum, c) => sum + c.childSas.length, 0),
    packets: { poolSize: pools(0), inUse: pools(1), peak: pools(2), refused: pools(3) },
    drops: totalDrops(books),
    engine: books.engine.name,
  };
}

export function viewTenants(books: Books): TenantStatus[] {
  return [...books.tenants.values()].map((tenant) => ({
    name: tenant.name,
    compartment: tenant.compartment.number,
    ...(tenant.config.rdid === undefined ? {} : { rdid: tenant.config.rdid }),
    interfaces: tenant.compartment.interfaces().map((view): InterfaceStatus => {
      const way = tenant.ways.get(view.number);
      const device =
        way !== undefined && 'port' in way && way.config.driver !== 'fabric' ? { device: way.config.device } : {};
      const { rxPackets, rxBytes, txPackets, txBytes } = view;
      return {
        name: view.name,
        kind: view.kind,
        ...device,
        state: view.up ? 'up' : 'down',
        mtu: view.mtu,
        addresses: view.addresses.map(formatPrefix),
        rxPackets,
        rxBytes,
        txPackets,
        txBytes,
      };
    }),
    routes: tenant.compartment.routes().map(({ prefix, interface: number, origin, preference, why }) => ({
      prefix: formatPrefix(prefix),
      via: wayName(tenant, number),
      origin,
      preference,
      why,
    })),
    connections: [...tenant.tunnels.keys()],
    drops: tenantDrops(tenant),
  }));
}

export const viewConnections = (books: Books, now: Millis): ConnectionStatus[] =>
  [...books.tunnels.values()].map((tunnel) => viewConnection(books, tunnel, now));

function viewConnection(books: Books, tunnel: Tunnel, now: Millis): ConnectionStatus {
  const connection = books.ike.connections.get(tunnel.name);
  const sas = [...(connection?.sas ?? [])];
  const { config, ike } = tunnel;
  const failure = connection?.lastFailure;
  const [state, why] = stateOf(tunnel, connection, sas, now);
  return {
    tenant: tunnel.tenant.name,
    name: config.name,
    state,
    why,
    start: config.start,
    localAddress: formatAddress(config.local.address),
    remoteAddress: config.remote.address === undefined ? 'any' : formatAddress(config.remote.address),
    localId: formatIdentity(ike.localId),
    remoteId: formatIdentity(ike.remoteId),
    ikeSas: sas.map((sa) => viewIkeSa(sa, now)),
    childSas: [...(tunnel.plane?.sas.values() ?? [])].flatMap((sa) => {
      const child = tunnel.children.get(sa.pair.spiIn);
      return child === undefined ? [] : [viewChildSa(tunnel, child, sa, sas, now)];
    }),
    ...(failure === undefined
      ? {}
      : {
          lastFailure: {
            severity: 'error' as const,
            tenant: tunnel.tenant.name,
            connection: config.name,
            code: failure.failure.code,
            problem: failure.failure.problem,
            advice: failure.failure.advice,
            lines: failure.failure.lines,
            secondsAgo: Math.floor(now - failure.at) / 1000,
          },
        }),
    routes: config.routes.map(formatPrefix),
    mtu: tunnel.mtu,
    waitingPackets: tunnel.plane?.waiting.length ?? 0,
  };
}

function stateOf(
  tunnel: Tunnel,
  connection: Connection | undefined,
  sas: readonly IkeSa[],
  now: Millis,
): [ConnectionState, string] {
  const rekeying = sas.some((sa) => sa.active?.kind === 'ike-rekey' || sa.active?.kind === 'child-rekey');
  if (tunnel.up) return rekeying ? ['rekeying', 'a rekey is under way, traffic goes on'] : ['up', 'Child SA installed'];
  if (sas.some((sa) => sa.phase === 'init' || sa.phase === 'auth' || sa.active?.kind === 'child-create')) {
    const sa = sas.find((s) => s.phase === 'init' || s.phase === 'auth');
    const step = sa === undefined ? 'CREATE_CHILD_SA' : sa.phase === 'init' ? 'IKE_SA_INIT' : 'IKE_AUTH';
    const again = sa !== undefined && sa.requests.retransmits > 0 ? `, asked ${sa.requests.retransmits + 1} times` : '';
    return ['connecting', `${step} is under way${again}`];
  }
  if (sas.some((sa) => sa.phase === 'closing')) return ['closing', 'DELETE was sent, the answer is awaited'];
  const failed = connection?.lastFailure;
  if (connection?.wanted === true && connection.retryAt !== undefined) {
    const wait = Math.max(0, Math.ceil((connection.retryAt - now) / 1000));
    return ['waiting', `${failed?.failure.problem ?? 'the connection went down'}; next attempt in ${wait} s`];
  }
  if (failed !== undefined) return ['down', failed.failure.problem];
  const why = { demand: 'the first packet opens it', boot: 'taken down', listen: 'waits for the peer' }[
    tunnel.config.start
  ];
  return ['down', why];
}

function viewIkeSa(sa: IkeSa, now: Millis): IkeSaStatus {
  const { nat, suite } = sa;
  const words =
    suite === undefined ? [] : [suite.encryption.word, suite.integrity?.word, suite.prf.word, suite.group.word];
  return {
    id: sa.id,
    spiI: toHex(sa.spiI),
    spiR: toHex(sa.spiR),
    role: sa.initiator ? 'initiator' : 'responder',
    state: sa.phase,
    suite: words.filter((word) => word !== undefined).join('-'),
    local: formatEndpoint(sa.local),
    remote: formatEndpoint(sa.remote),
    nat:
      nat.local && nat.remote ? 'both' : nat.local ? 'local' : nat.remote ? 'remote' : nat.forced ? 'forced' : 'none',
    establishedSeconds: sa.establishedAt === undefined ? 0 : seconds(now - sa.establishedAt),
    rekeySeconds: until(sa.rekeyAt, now),
    retransmits: sa.requests.retransmits,
  };
}

function viewChildSa(
  tunnel: Tunnel,
  { sa: child, installedAt }: Child,
  sa: PlaneSa,
  ikeSas: readonly IkeSa[],
  now: Millis,
): ChildSaStatus {
  const { inbound, outbound } = sa;
  const owner = ikeSas.find((ike) => [...ike.children].some((c) => c.sa.spiIn === child.spiIn));
  const record = [...(owner?.children ?? [])].find((c) => c.sa.spiIn === child.spiIn);
  const { encryption, integrity, group } = child.suite;
  const words = [encryption.word, integrity?.word, group?.word].filter((word) => word !== undefined);
  return {
    id: child.id,
    ikeId: owner?.id ?? child.ikeId,
    tenant: tunnel.tenant.name,
    connection: tunnel.config.name,
    state: record === undefined ? 'draining' : sa.phase,
    spiIn: hex32(child.spiIn),
    spiOut: hex32(child.spiOut),
    suite: words.join('-'),
    esn: child.suite.esn,
    carrier: outbound.udpEncapsulation ? 'udp' : 'ip-50',
    local: child.local.map(formatSelector),
    remote: child.remote.map(formatSelector),
    bytesIn: inbound.usage.innerBytes,
    packetsIn: inbound.usage.packets,
    bytesOut: outbound.usage.innerBytes,
    packetsOut: outbound.usage.packets,
    sequenceIn: inbound.cells[SA_CELL.sequence]!,
    sequenceOut: outbound.cells[SA_CELL.sequence]!,
    installedSeconds: seconds(now - installedAt),
    rekeySeconds: record === undefined ? null : until(record.rekeyAt, now),
    drops: sumDrops([dropsByName(inbound.drops), dropsByName(outbound.drops)]),
  };
}

/** A failure is a problem while the connection is not up, or while a rekey keeps failing. */
function connectionProblem(status: ConnectionStatus): Problem[] {
  const failure = status.lastFailure;
  if (failure === undefined) return [];
  const { tenant, connection, problem, advice, lines } = failure;
  const severity = isUp(status) ? 'warning' : 'error';
  return [
    {
      severity,
      ...(tenant === undefined ? {} : { tenant }),
      ...(connection === undefined ? {} : { connection }),
      problem,
      advice,
      lines,
    },
  ];
}

/** An SA came about after the last failure, which is history then: `connections show` still tells it. */
function isOvercome(books: Books, tunnel: Tunnel): boolean {
  const connection = books.ike.connections.get(tunnel.name);
  const failedAt = connection?.lastFailure?.at;
  if (connection === undefined || failedAt === undefined || !tunnel.up) return false;
  return (
    [...tunnel.children.values()].some(({ installedAt }) => installedAt > failedAt) ||
    [...connection.sas].some(({ establishedAt }) => establishedAt !== undefined && establishedAt > failedAt)
  );
}

const isUp = ({ state }: ConnectionStatus): boolean => state === 'up' || state === 'rekeying';

const planeProblems = (books: Books): Problem[] =>
  [...books.planeProblems.values()].map((why) => ({
    severity: 'error' as const,
    problem: `no packet passes${books.planes > 1 ? ' for some tenants' : ''}: the data plane ${why}`,
    advice: 'it is started anew by itself; the log says when, and what became of it before',
    lines: [],
  }));

const listenerProblems = (books: Books): Problem[] =>
  books.listeners.flatMap(({ address, problem }) =>
    problem === undefined
      ? []
      : [
          {
            severity: 'error' as const,
            problem: `cannot listen on ${formatAddress(address)}: ${problem}`,
            advice: 'see `bulkhead doctor`',
            lines: [],
          },
        ],
  );

const interfaceProblems = (books: Books): Problem[] =>
  [...books.tenants.values()].flatMap((tenant) =>
    [...tenant.interfaces.values()].flatMap(({ config, problem }) =>
      problem === undefined
        ? []
        : [
            {
              severity: 'error' as const,
              tenant: tenant.name,
              problem: `interface ${config.name} (${config.device}) is down: ${problem}`,
              advice: 'see `bulkhead doctor`',
              lines: [],
            },
          ],
    ),
  );

function wayName(tenant: Tenant, number: number): string {
  const way = tenant.ways.get(number);
  return way === undefined ? 'this gateway' : way.config.name;
}

function tenantDrops(tenant: Tenant): Record<string, number> {
  const perTunnel = [...tenant.tunnels.values()].flatMap((tunnel) =>
    [...(tunnel.plane?.sas.values() ?? [])].map((sa) => dropsByName(sa.inbound.drops)),
  );
  return sumDrops([dropsByName(tenant.compartment.drops), ...perTunnel]);
}

function totalDrops(books: Books): Record<string, number> {
  const refused = [...books.ike.counters].filter(([name]) => name !== ACCEPTED);
  const ike = Object.fromEntries(refused.map(([name, count]) => [`ike-${name}`, count]));
  const tenants = [...books.tenants.values()].map(tenantDrops);
  const planes = [...books.planeCells(), ...books.sadCells()].map((cells) => dropsByName(cells));
  return sumDrops([...planes, ...tenants, ike]);
}

function sumDrops(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const drops of all)
    for (const [reason, count] of Object.entries(drops)) sum[reason] = (sum[reason] ?? 0) + count;
  return sum;
}

const seconds = (millis: Millis): number => Math.floor(millis / 1000);
const until = (at: Millis, now: Millis): number | null =>
  at === Number.POSITIVE_INFINITY ? null : Math.max(0, Math.ceil((at - now) / 1000));
const hex32 = (n: number): string => n.toString(16).padStart(8, '0');

/** What the endpoint counts that was not refused. */
const ACCEPTED = 'init-accepted';
