/** Which peers are told the same of a family. What an `Exporter` or an `UpdateEncoder` asks of a peer stands here. */
import { formatPrefix } from '../../ip/index.ts';
import type { Family } from '../message/types.ts';
import { ALL_PATHS } from './family-rib.ts';
import { isPaced, type Peer } from './peer.ts';

/** Peers with equal keys are told the same octets. */
export function groupKey(peer: Peer, family: Family): string {
  const { send, shared } = peer;
  return JSON.stringify([
    family,
    peer.kind,
    peer.localAs,
    [...peer.localAddress],
    peer.otherAddress === undefined ? 0 : [...peer.otherAddress],
    (peer.extendedNextHop ?? []).includes(family),
    peer.export?.key ?? '',
    peer.nextHop ?? 'auto',
    shared === undefined ? 0 : formatPrefix(shared),
    peer.longLived ?? false,
    peer.defaultOriginate ?? false,
    isPaced(peer),
    send.fourOctetAs,
    send.maximumLength,
    send.addPath.includes(family) ? (peer.addPaths ?? ALL_PATHS) : 0,
  ]);
}
