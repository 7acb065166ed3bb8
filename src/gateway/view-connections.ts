/**
 * Connections and their SAs as people see them: plain JSON made from the books.
 *
 * Leaves to others: what of it is a problem (`problems.ts`). No secret is read here.
 */
import { type Millis, toHex } from '../core/index.ts';
import { SA_CELL } from '../esp/index.ts';
import { type Connection, formatIdentity, type IkeSa } from '../ike/index.ts';
import { dropsByName, formatAddress, formatEndpoint, formatPrefix, formatSelector } from '../ip/index.ts';
import type { Books } from './books.ts';
import type { PlaneSa } from './dataplane/index.ts';
import { sumDrops } from './drops.ts';
import type { ChildSaStatus, ConnectionState, ConnectionStatus, IkeSaStatus } from './status.ts';
import type { Child, Tunnel } from './tunnel.ts';

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
      const child = tunnel.children.get(sa.inbound.spi);
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

export const isUp = ({ state }: ConnectionStatus): boolean => state === 'up' || state === 'rekeying';

const seconds = (millis: Millis): number => Math.floor(millis / 1000);
const until = (at: Millis, now: Millis): number | null =>
  at === Number.POSITIVE_INFINITY ? null : Math.max(0, Math.ceil((at - now) / 1000));
const hex32 = (n: number): string => n.toString(16).padStart(8, '0');
