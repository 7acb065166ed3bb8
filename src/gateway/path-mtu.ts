/**
 * Path MTU outside: asks what the kernel knows of the way to each peer, and tells the tunnels, whose inner MTU follows.
 *
 * Read first: RFC 1191 §3–§6 (the kernel heeds the ICMP errors and forgets after ten minutes), RFC 4301 §8.2. The kernel is
 * asked when a Child SA comes, when it refuses a datagram, and once a minute, because a way that became narrow may widen again.
 * Limits: one question a way and ASK_AGAIN. Deliberate limit: black holes that send no ICMP are not looked for (RFC 4821,
 * RFC 8899); `mtu` of the connection is the remedy.
 */
import type { Deadline, Millis, Timed } from '../core/index.ts';
import { type Address, formatAddress, sameAddress } from '../ip/index.ts';
import type { Books } from './books.ts';
import type { Tunnel } from './tunnel.ts';

/** The kernel is asked about one way at most this often. */
const ASK_AGAIN: Millis = 50;
const ROUND: Millis = 60_000;

export class PathMtu implements Timed {
  readonly #books: Books;
  /** When each way was last asked about, and the answer. */
  readonly #asked = new Map<string, { readonly at: Millis; mtu: number | undefined }>();
  #roundAt = Number.POSITIVE_INFINITY;

  constructor(books: Books) {
    this.#books = books;
  }

  /** SAs of the tunnel changed. */
  settled(tunnel: Tunnel, now: Millis): void {
    const way = wayOf(tunnel);
    if (way === undefined) {
      const any = [...this.#books.tunnels.values()].some((other) => wayOf(other) !== undefined);
      if (!any) this.#roundAt = Number.POSITIVE_INFINITY;
      return;
    }
    this.#ask(way.local, way.remote, now);
    if (this.#roundAt === Number.POSITIVE_INFINITY) this.#roundAt = now + ROUND;
  }

  tooBig(local: Address, remote: Address, now: Millis): void {
    this.#ask(local, remote, now);
  }

  learned(local: Address, remote: Address, mtu: number): void {
    const books = this.#books;
    const asked = this.#asked.get(wayName(local, remote));
    if (asked !== undefined) asked.mtu = mtu;
    for (const tunnel of books.tunnels.values()) {
      const way = wayOf(tunnel);
      if (way === undefined || !sameAddress(way.local, local) || !sameAddress(way.remote, remote)) continue;
      const before = tunnel.plane?.outerMtu;
      if (before === mtu) continue;
      const inner = tunnel.mtu;
      tunnel.tenant.command({ do: 'path-mtu', tunnel: tunnel.index, mtu });
      if (before !== Number.POSITIVE_INFINITY && tunnel.mtu !== inner)
        books.report('info', tunnel, 'path-mtu', `the way to the peer carries ${mtu} octets, the tunnel ${tunnel.mtu}`);
    }
  }

  deadline(): Deadline | undefined {
    if (this.#roundAt === Number.POSITIVE_INFINITY) return undefined;
    return { at: this.#roundAt, why: 'look whether ways to peers changed' };
  }

  tick(now: Millis): void {
    this.#asked.clear();
    this.#roundAt = Number.POSITIVE_INFINITY;
    for (const tunnel of this.#books.tunnels.values()) this.settled(tunnel, now);
  }

  /** A tunnel that comes just after another one of the same way takes the answer that one got. */
  #ask(local: Address, remote: Address, now: Millis): void {
    const name = wayName(local, remote);
    const asked = this.#asked.get(name);
    if (asked !== undefined && now - asked.at < ASK_AGAIN) {
      if (asked.mtu !== undefined) this.learned(local, remote, asked.mtu);
      return;
    }
    this.#asked.set(name, { at: now, mtu: undefined });
    this.#books.emit({ do: 'probe-path', local, remote });
  }
}

const wayName = (local: Address, remote: Address): string => `${formatAddress(local)} ${formatAddress(remote)}`;

/** The addresses between which the ESP packets of a tunnel travel; undefined without an SA that sends. */
function wayOf({ plane }: Tunnel): { readonly local: Address; readonly remote: Address } | undefined {
  let way: { readonly local: Address; readonly remote: Address } | undefined;
  for (const { phase, outbound } of plane?.sas.values() ?? [])
    if (phase === 'active') way = { local: outbound.localEndpoint.address, remote: outbound.remoteEndpoint.address };
  return way;
}
