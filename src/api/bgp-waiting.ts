/** A command for BGP peers, and waiting until their sessions are what was asked for. */
import type { BgpCommand, BgpPeerStatus } from '../gateway/index.ts';
import type { BgpBackend, BgpCommandStatus } from './bgp-backend.ts';
import { awaited, BEGUN, unfinished } from './waiting.ts';

export interface BgpOrder {
  readonly command: BgpCommandStatus['command'];
  readonly tenant: string;
  readonly orders: readonly BgpCommand[];
  /** For the peers (RFC 9003). */
  readonly text: string;
}

type Verdict = Pick<BgpCommandStatus, 'outcome' | 'why'>;

/** Gives the command to those of `peers` that can carry it out, at once, and waits at most `waitSeconds` for each (0: not at all). */
export function performBgp(
  bgp: BgpBackend,
  order: BgpOrder,
  peers: readonly BgpPeerStatus[],
  waitSeconds: number,
  signal: AbortSignal,
): Promise<BgpCommandStatus[]> {
  const { command, tenant, orders, text } = order;
  const look = (name: string) => bgp.peers(tenant, name).find((peer) => peer.name === name);
  const refusals = new Map(peers.map((peer) => [peer.name, refusalOf(peer, orders)]));
  for (const [name, refusal] of refusals)
    if (refusal === undefined) for (const what of orders) bgp.command(tenant, name, what, text);
  const watch = (changed: () => void) => bgp.watch(tenant, changed);
  return Promise.all(
    peers.map(async (before): Promise<BgpCommandStatus> => {
      const judged = () => judgeBgp(order, before, look(before.name));
      const refusal = refusals.get(before.name);
      if (refusal !== undefined) return { command, outcome: 'failed', why: refusal, peer: before };
      const verdict = waitSeconds === 0 ? BEGUN : await awaited(judged, watch, waitSeconds, signal);
      const peer = look(before.name) ?? before;
      return {
        command,
        ...(typeof verdict === 'string'
          ? unfinished(verdict, waitSeconds, `the session is ${stateWords(peer)}`)
          : verdict),
        peer,
      };
    }),
  );
}

/** Who has said nothing yet cannot say it again, and who does not know ROUTE-REFRESH would end the session (RFC 2918 §4). */
function refusalOf({ state, capabilitiesReceived }: BgpPeerStatus, orders: readonly BgpCommand[]): string | undefined {
  if (orders.some((each) => each.startsWith('refresh')) && state !== 'Established')
    return `the session is ${state}; once it is Established everything is told`;
  if (orders.includes('refresh-in') && !capabilitiesReceived.includes('ROUTE_REFRESH'))
    return 'it takes no ROUTE-REFRESH; `bulkhead bgp clear PEER hard` begins anew';
  return undefined;
}

/** What has become of the command; undefined while that is open. */
export function judgeBgp(
  { command, orders }: Pick<BgpOrder, 'command' | 'orders'>,
  before: BgpPeerStatus,
  after: BgpPeerStatus | undefined,
): Verdict | undefined {
  if (after === undefined) {
    if (command === 'down') return { outcome: 'done', why: 'the peer is gone' };
    return { outcome: 'failed', why: 'the peer was removed from the document' };
  }
  const isUp = after.state === 'Established';
  if (command === 'down') return after.shutdown && !isUp ? { outcome: 'done', why: stateWords(after) } : undefined;
  if (after.shutdown) return { outcome: 'failed', why: `the session is down and stays so: ${after.why ?? 'stopped'}` };
  const isSoft = !orders.includes('reset') && command === 'clear';
  if (isSoft && !isUp) return { outcome: 'failed', why: `there is no session: ${stateWords(after)}` };
  const isNew = command === 'up' || isSoft || after.connectionsEstablished > before.connectionsEstablished;
  return isUp && isNew ? { outcome: 'done', why: stateWords(after) } : undefined;
}

const stateWords = ({ state, why }: BgpPeerStatus): string => (why === undefined ? state : `${state}: ${why}`);
