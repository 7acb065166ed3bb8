/** All contenders of `esp.ts`, in the order of its table. */
import { bulkhead, bulkheadNormal, bulkheadOpenssl } from './bulkhead.ts';
import { libipsec } from './libipsec.ts';
import { openvpn } from './openvpn.ts';
import type { Contender } from './path.ts';
import { relay } from './relay.ts';
import { veth } from './veth.ts';
import { newerWireguardGo, wireguardGo } from './wireguard-go.ts';

export const CONTENDERS: readonly Contender[] = [
  veth,
  relay,
  bulkhead,
  bulkheadNormal,
  bulkheadOpenssl,
  libipsec,
  wireguardGo,
  newerWireguardGo,
  openvpn,
];
