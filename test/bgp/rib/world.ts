/** Tables with peers in them, for tests: who says what, and what each has read. */
import { compilePolicy } from '../../../src/bgp/policy/compile.ts';
import type { Policy } from '../../../src/bgp/policy/policy.ts';
import type { PolicyRecord } from '../../../src/bgp/policy/record.ts';
import type { RibOptions } from '../../../src/bgp/rib/options.ts';
import type { PeerOptions } from '../../../src/bgp/rib/peer.ts';
import { Rib } from '../../../src/bgp/rib/rib.ts';
import { type Bytes, concat, EMPTY } from '../../../src/core/index.ts';
import { parsePrefix } from '../../../src/ip/index.ts';
import { Receiver } from './receiver.ts';
import { peerOptions, update } from './speakers.ts';

export const NET = Uint8Array.of(24, 198, 51, 100);
export const KEY = '24/c63364';
export const prefix = (text: string) => parsePrefix(text)!;

export function policy(record: PolicyRecord): Policy {
  const compiled = compilePolicy(record);
  if (!compiled.ok) throw new Error(JSON.stringify(compiled));
  return compiled.policy;
}

export class World {
  readonly rib: Rib;
  now = 0;

  constructor(options: Partial<RibOptions> = {}) {
    this.rib = new Rib({ localAs: 65_000, routerId: 0x01010101, ...options });
  }

  /** A peer whose first table has been read. */
  peer(number: number, change: Partial<PeerOptions> = {}): number {
    const added = this.rib.add(peerOptions(number, change));
    this.read(added);
    return added;
  }

  say(peer: number, attributes: Bytes, nlri: Bytes = NET, withdrawn: Bytes = EMPTY) {
    return this.rib.receive(peer, update(withdrawn, attributes, nlri), this.now);
  }

  read(peer: number, into: Receiver = new Receiver()): Receiver {
    this.rib.flush();
    while (this.rib.hasOutput(peer)) for (const octets of this.rib.take(peer, 4096)) into.read(octets);
    return into;
  }

  /** What a peer is owed, as it is. */
  octets(peer: number): Bytes {
    this.rib.flush();
    return concat(...this.rib.take(peer, 65_536));
  }

  why(text = '198.51.100.0/24'): string[] {
    return this.rib.explain(prefix(text)).map(({ peer, why }) => `${peer}: ${why}`);
  }
}
