/**
 * Many peers of one daemon: each says the same prefixes and is told the best of all, as many each way.
 *
 *     node mesh.js PEERS ROUTES DAEMON PORT
 *
 * Each peer is the best for its share of the prefixes, with a shorter path than all others, so that what has to arrive is known. Writes one
 * line of JSON when every peer has the best route of every prefix that is another's.
 */
import {
  ATTRIBUTE,
  attributeValueAt,
  encodeUpdate,
  findAttribute,
  IPV4_UNICAST,
  nextNlri,
  nlriIpv4,
  type UpdateView,
} from '../../src/bgp/message/index.ts';
import { type Bytes, concat, u32 } from '../../src/core/index.ts';
import { parseAddress } from '../../src/ip/index.ts';
import { meshPeers } from './feeds.ts';
import { run, sleep, TrafficPeer } from './traffic-peer.ts';

export interface MeshPass {
  readonly millis: number;
  /** Prefixes and messages that all peers were told, those that were replaced again among them. */
  readonly told: number;
  readonly messages: number;
}

/** Which prefixes a peer has the best route of. */
class Seen {
  count = 0;
  readonly #best: Uint8Array;
  readonly #owners: readonly number[];
  readonly #own: number;

  constructor(owners: readonly number[], own: number) {
    this.#owners = owners;
    this.#best = new Uint8Array(owners.length);
    this.#own = own;
  }

  look(update: Bytes, view: UpdateView): void {
    const path = findAttribute(update, view.attributesAt, view.attributesEnd, ATTRIBUTE.AS_PATH);
    if (path < 0) return;
    const at = attributeValueAt(update, path);
    // Ours and its own: a best route has no more.
    const owner = update[at + 1] === 2 ? u32(update, at + 6) : 0;
    for (let p = view.nlriAt; p < view.nlriEnd; p = nextNlri(update, p)) {
      const number = (nlriIpv4(update, p) >>> 8) - FIRST;
      const best = this.#owners[number] === owner && owner !== this.#own ? 1 : 0;
      this.count += best - this.#best[number]!;
      this.#best[number] = best;
    }
  }
}

async function main([peerCount, routeCount, daemon, port]: readonly string[]): Promise<void> {
  const all = meshPeers(Number(peerCount));
  const routes = Number(routeCount);
  const owners = Array.from({ length: routes }, (_, i) => all[Math.floor((i * all.length) / routes)]!.asn);
  const connected: TrafficPeer[] = [];
  // One by one: the queue of new connections of OpenBGPD is short.
  for (const { asn, address } of all) {
    const peer = new TrafficPeer(asn, address, daemon!, Number(port));
    await peer.established;
    connected.push(peer);
  }
  const peers = all.map(({ asn, address }, i) => {
    const peer = connected[i]!;
    const seen = new Seen(owners, asn);
    peer.look = (update, view) => seen.look(update, view);
    const wanted = owners.filter((owner) => owner !== asn).length;
    return { peer, seen, wanted, said: routesOf(asn, address, owners) };
  });
  await sleep(SETTLE);
  const begun = performance.now();
  for (const { peer, said } of peers) peer.send(said);
  while (peers.some(({ seen, wanted }) => seen.count < wanted)) await sleep(20);
  const sum = (pick: (peer: TrafficPeer) => number): number => peers.reduce((total, { peer }) => total + pick(peer), 0);
  const pass: MeshPass = {
    millis: Math.max(...peers.map(({ peer }) => peer.last)) - begun,
    told: sum((peer) => peer.announced),
    messages: sum((peer) => peer.messages),
  };
  process.stdout.write(`${JSON.stringify(pass)}\n`);
  // What the daemon took is asked meanwhile.
  await sleep(SETTLE);
}

function routesOf(asn: number, address: string, owners: readonly number[]): Bytes {
  const own: number[] = [];
  const others: number[] = [];
  for (const [i, owner] of owners.entries()) (owner === asn ? own : others).push(i);
  return concat(...updates(own, [asn], address), ...updates(others, [asn, 64_999, 64_998], address));
}

function updates(numbers: readonly number[], path: readonly number[], address: string): Bytes[] {
  const out: Bytes[] = [];
  for (let from = 0; from < numbers.length; from += IN_ONE) {
    const nlri = numbers.slice(from, from + IN_ONE).map((i) => {
      const number = FIRST + i;
      return { prefix: { address: Uint8Array.of(number >>> 16, number >>> 8, number, 0), length: 24 } };
    });
    const attributes = [
      { flags: 0x40, type: ATTRIBUTE.ORIGIN, value: { name: 'origin', origin: 'igp' } },
      {
        flags: 0x40,
        type: ATTRIBUTE.AS_PATH,
        value: { name: 'asPath', segments: [{ type: 'sequence', asns: path }] },
      },
      { flags: 0x40, type: ATTRIBUTE.NEXT_HOP, value: { name: 'nextHop', address: parseAddress(address)! } },
    ] as const;
    out.push(encodeUpdate({ kind: 'update', withdrawn: [], attributes, nlri }, CONTEXT));
  }
  return out;
}

const SETTLE = 3_000;
/** 20.0.0.0/24. */
const FIRST = 20 << 16;
const IN_ONE = 900;
const CONTEXT = { ebgp: true, fourOctetAs: true, maximumLength: 4096, addPath: [], families: [IPV4_UNICAST] };

run(main);
