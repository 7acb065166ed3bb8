/**
 * What is seen of NAT from outside, kept naively: which external port each inner endpoint has (RFC 4787 REQ-1: the same for
 * everybody), that no two have one, that the address is the tenant's, and that the sessions listed are those that were seen.
 */
import { formatAddress, sourceOf } from '../../src/ip/index.ts';
import type { Question } from '../support/fabric/ledger.ts';
import { OUTSIDE } from '../support/fabric/ledger.ts';
import type { Bytes } from '../support/fabric/octets.ts';
import { DNS, type FabricWorld, WEB } from '../support/fabric/world.ts';

interface Mapping {
  readonly protocol: string;
  readonly inner: string;
  readonly external: number;
  /** When a packet was last seen to leave by it. */
  at: number;
}

/** Surely alive, whatever state a session is in. */
const ALIVE: Readonly<Record<string, number>> = { udp: 118_000, ping: 28_000, tcp: 2_000 };

export class NatView {
  readonly #world: FabricWorld;
  readonly #externalOf: (tenant: string) => string | undefined;
  /** By tenant, then by protocol and inner endpoint. */
  readonly #mappings = new Map<string, Map<string, Mapping>>();

  constructor(world: FabricWorld, externalOf: (tenant: string) => string | undefined) {
    this.#world = world;
    this.#externalOf = externalOf;
  }

  /** Nothing is known of the tenant's sessions any more. */
  forget(tenant: string): void {
    this.#mappings.delete(tenant);
  }

  /** A question arrived. */
  seen({ from, what, meant }: Question, packet: Bytes): void {
    const { ledger, timeline } = this.#world;
    const { tenant } = from;
    const source = formatAddress(sourceOf(packet, 0));
    const [protocol, port, destination] = what.split(' ');
    const inner = formatAddress(from.addresses[0]!);
    const translated = tenant !== OUTSIDE && (meant?.tenant === OUTSIDE || destination!.startsWith('203.'));
    const external = translated ? this.#externalOf(tenant) : undefined;
    const expected = external ?? inner;
    if (source !== expected && !from.addresses.some((own) => formatAddress(own) === source && external === undefined))
      return ledger.blame(`${from.label} asked ${what} and was seen as ${source}, not ${expected}`);
    if (external === undefined) return;
    const at = (packet[0]! & 0x0f) * 4;
    const seenPort = protocol === 'ping' ? word(packet, at + 4) : word(packet, at);
    const mappings = this.#mappings.get(tenant) ?? new Map<string, Mapping>();
    this.#mappings.set(tenant, mappings);
    const key = `${protocol} ${inner}:${port}`;
    const known = mappings.get(key);
    if (known !== undefined && this.#lives(known) && known.external !== seenPort)
      ledger.blame(`${from.label} ${key} has port ${seenPort}, and had ${known.external}`);
    for (const [other, mapping] of mappings)
      if (other !== key && mapping.protocol === protocol && mapping.external === seenPort && this.#lives(mapping))
        ledger.blame(`${tenant}: port ${seenPort} is that of ${key} and of ${other}`);
    mappings.set(key, { protocol: protocol!, inner: `${inner}:${port}`, external: seenPort, at: timeline.now });
  }

  /** Sessions in words, as `FabricWorld.sessions` has them. */
  agrees(tenant: string, sessions: readonly string[]): void {
    const { ledger } = this.#world;
    const mappings = this.#mappings.get(tenant) ?? new Map<string, Mapping>();
    const listed = sessions.map((words) => words.split(' '));
    for (const mapping of mappings.values()) {
      if (!this.#lives(mapping)) continue;
      const protocol = mapping.protocol === 'ping' ? 'icmp' : mapping.protocol;
      const found = listed.some(
        ([p, inner, external]) =>
          p === protocol && inner === mapping.inner && external!.endsWith(`:${mapping.external}`),
      );
      if (!found) ledger.blame(`${tenant}: no session is listed for ${protocol} ${mapping.inner}`);
    }
    for (const [protocol, inner, external, remote] of listed) {
      if (!remote!.startsWith(WEB) && !remote!.startsWith(DNS)) continue;
      const mapping = mappings.get(`${protocol === 'icmp' ? 'ping' : protocol} ${inner}`);
      if (mapping !== undefined && this.#lives(mapping) && !external!.endsWith(`:${mapping.external}`))
        ledger.blame(`${tenant}: ${inner} is listed with ${external}, and seen with ${mapping.external}`);
    }
    if (ledger.blamed.length > 0) throw new Error(ledger.blamed.join('\n'));
  }

  #lives({ protocol, at }: Mapping): boolean {
    return this.#world.timeline.now - at < ALIVE[protocol]!;
  }
}

const word = (octets: Bytes, at: number): number => (octets[at]! << 8) | octets[at + 1]!;
