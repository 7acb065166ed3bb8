/**
 * The sessions of one NAT: rows of fourteen words, and four ways to find them.
 *
 * A *session* is (protocol, inner address and port, external port, remote address and port). A *mapping* (RFC 4787 §4.1) is
 * what all sessions of one inner endpoint share, its external port; it has no row of its own: it is there as long as one of
 * its sessions, which form a list whose first is the mapping's head. Sessions of one mapping with one remote address form
 * another list, whose head is what address-dependent filtering asks for.
 *   - by both inner and remote endpoint: all sessions, for packets from inside
 *   - by external port and remote endpoint: all sessions, for packets from outside
 *   - by inner endpoint: heads of mappings, for new sessions from inside
 *   - by what the filter asks for, for new ones from outside: nothing, remote address, or external port only
 * Limits: `SESSIONS_MAX`. Rows come in chunks, so that none is ever copied; all memory goes when the last session goes.
 * A session takes 76 to 96 octets, and a fifth more while the indexes double.
 * Invariant: a dynamic external port belongs to one mapping; no two sessions have the same inner and remote endpoints.
 */
import { invariant } from '../core/index.ts';
import { type NatFiltering, SESSIONS_MAX } from './contract.ts';
import { type HashKeys, keyedHash } from './hash.ts';
import { IndexTable } from './index-table.ts';

/** Words of a row. What each packet touches stands together. Addresses are signed numbers here. */
export const ROW = {
  inner: 0,
  remote: 1,
  /** inner port << 16 | external port */
  ports: 2,
  /** remote port << 16 | protocol << 8 | state; 0: the row is free */
  flow: 3,
  /** Milliseconds, modulo 2^32. */
  expires: 4,
  packetsOut: 5,
  packetsIn: 6,
  octetsOut: 7,
  octetsIn: 8,
  /** The third halves of both: out << 16 | in. */
  octetsHigh: 9,
  mappingNext: 10,
  mappingPrevious: 11,
  peerNext: 12,
  peerPrevious: 13,
} as const;

export const ROW_WORDS = 14;
export const CHUNK_SHIFT = 10;
export const CHUNK_MASK = (1 << CHUNK_SHIFT) - 1;

export class SessionTable {
  /** Row r stands in chunks[r >>> CHUNK_SHIFT] from (r & CHUNK_MASK) * ROW_WORDS on. */
  readonly chunks: Int32Array[] = [];
  #count = 0;
  /** Rows below have been used. */
  #fresh = 0;
  /** The first free row below `#fresh`, or -1; each names the next. */
  #free = -1;
  #filtering: NatFiltering;
  readonly #keys: HashKeys;
  readonly #touch = (row: number): number => this.word(row, 0);
  readonly #byEnds = new IndexTable((row) => this.#endsHash(row), this.#touch);
  readonly #byInner = new IndexTable((row) => this.#innerHash(row), this.#touch);
  readonly #byRemote = new IndexTable((row) => this.#remoteHash(row), this.#touch);
  readonly #byPermission = new IndexTable((row) => this.#permissionHash(row), this.#touch);

  constructor(keys: HashKeys, filtering: NatFiltering) {
    this.#keys = keys;
    this.#filtering = filtering;
  }

  get count(): number {
    return this.#count;
  }

  /** Every row in use is below. */
  get rows(): number {
    return this.#fresh;
  }

  /** Octets of memory in tables and rows. */
  get octets(): number {
    const rows = this.chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
    return rows + this.#byEnds.octets + this.#byInner.octets + this.#byRemote.octets + this.#byPermission.octets;
  }

  inUse(row: number): boolean {
    return this.word(row, ROW.flow) !== 0;
  }

  word(row: number, word: number): number {
    return this.chunks[row >>> CHUNK_SHIFT]![(row & CHUNK_MASK) * ROW_WORDS + word]!;
  }

  /** The session of a packet from inside, or -1. */
  findOutbound(protocol: number, inner: number, innerPort: number, remote: number, remotePort: number): number {
    const hash = this.outboundHash(protocol, inner, innerPort, remote, remotePort);
    const key = (remotePort << 8) | protocol;
    let row = this.#byEnds.first(hash);
    while (row >= 0) {
      const chunk = this.chunks[row >>> CHUNK_SHIFT]!;
      const at = (row & CHUNK_MASK) * ROW_WORDS;
      if (
        chunk[at + ROW.inner] === inner &&
        chunk[at + ROW.remote] === remote &&
        chunk[at + ROW.ports]! >>> 16 === innerPort &&
        chunk[at + ROW.flow]! >>> 8 === key
      )
        return row;
      row = this.#byEnds.after(hash, row);
    }
    return -1;
  }

  // What `findOutbound` reads, to be read before: see `look-ahead.ts`.

  outboundHash(protocol: number, inner: number, innerPort: number, remote: number, remotePort: number): number {
    return keyedHash(this.#keys, inner, innerPort, protocol, remote, remotePort);
  }

  touchSlot(hash: number): number {
    return this.#byEnds.touch(hash);
  }

  /** The row of the session with that hash, or another one with the same ten bits of it, or -1. */
  likelyRow(hash: number): number {
    return this.#byEnds.first(hash);
  }

  /** A row may lie in two lines of the cache. */
  touchRow(row: number): number {
    return this.word(row, ROW.inner) ^ this.word(row, ROW.octetsOut);
  }

  /** The session of a packet from outside, or -1. */
  findInbound(protocol: number, externalPort: number, remote: number, remotePort: number): number {
    const hash = keyedHash(this.#keys, remote, remotePort, protocol, 0, externalPort);
    const key = (remotePort << 8) | protocol;
    let row = this.#byRemote.first(hash);
    while (row >= 0) {
      const chunk = this.chunks[row >>> CHUNK_SHIFT]!;
      const at = (row & CHUNK_MASK) * ROW_WORDS;
      if (
        chunk[at + ROW.remote] === remote &&
        chunk[at + ROW.flow]! >>> 8 === key &&
        (chunk[at + ROW.ports]! & 0xffff) === externalPort
      )
        return row;
      row = this.#byRemote.after(hash, row);
    }
    return -1;
  }

  /** The head of the mapping of an inner endpoint, or -1. */
  mapping(protocol: number, inner: number, innerPort: number): number {
    const hash = keyedHash(this.#keys, inner, innerPort, protocol, 0, 0);
    let row = this.#byInner.first(hash);
    while (row >= 0) {
      const chunk = this.chunks[row >>> CHUNK_SHIFT]!;
      const at = (row & CHUNK_MASK) * ROW_WORDS;
      if (
        chunk[at + ROW.inner] === inner &&
        chunk[at + ROW.ports]! >>> 16 === innerPort &&
        ((chunk[at + ROW.flow]! >>> 8) & 0xff) === protocol
      )
        return row;
      row = this.#byInner.after(hash, row);
    }
    return -1;
  }

  /** A session by which the filter lets a new one from `remote` to the external port in, or -1. */
  permission(protocol: number, externalPort: number, remote: number): number {
    if (this.#filtering === 'address-and-port') return -1;
    const address = this.#filtering === 'address' ? remote : 0;
    const hash = keyedHash(this.#keys, address, 0, protocol, 0, externalPort);
    let row = this.#byPermission.first(hash);
    while (row >= 0) {
      if (
        (this.word(row, ROW.ports) & 0xffff) === externalPort &&
        ((this.word(row, ROW.flow) >>> 8) & 0xff) === protocol &&
        (this.#filtering === 'endpoint-independent' || this.word(row, ROW.remote) === remote)
      )
        return row;
      row = this.#byPermission.after(hash, row);
    }
    return -1;
  }

  /** A session that is not there yet, of the mapping whose head is `head`, or of a new one (-1): its row. */
  add(
    head: number,
    protocol: number,
    inner: number,
    innerPort: number,
    externalPort: number,
    remote: number,
    remotePort: number,
    state: number,
    expires: number,
  ): number {
    const row = this.#takeRow();
    const chunk = this.chunks[row >>> CHUNK_SHIFT]!;
    const at = (row & CHUNK_MASK) * ROW_WORDS;
    chunk[at + ROW.inner] = inner;
    chunk[at + ROW.remote] = remote;
    chunk[at + ROW.ports] = (innerPort << 16) | externalPort;
    chunk[at + ROW.flow] = (remotePort << 16) | (protocol << 8) | state;
    chunk[at + ROW.expires] = expires;
    for (let word: number = ROW.packetsOut; word <= ROW.octetsHigh; word++) chunk[at + word] = 0;
    this.#byEnds.add(this.#endsHash(row), row);
    this.#byRemote.add(this.#remoteHash(row), row);
    this.#link(head, row, ROW.mappingNext, ROW.mappingPrevious);
    if (head < 0) this.#byInner.add(this.#innerHash(row), row);
    this.#permit(row);
    return row;
  }

  /** True: it was the last of its mapping. */
  remove(row: number): boolean {
    const headOfMapping = this.word(row, ROW.mappingPrevious) < 0;
    const next = this.word(row, ROW.mappingNext);
    this.#forbid(row);
    if (headOfMapping) {
      const hash = this.#innerHash(row);
      this.#byInner.remove(hash, row);
      if (next >= 0) this.#byInner.add(hash, next);
    }
    this.#unlink(row, ROW.mappingNext, ROW.mappingPrevious);
    this.#byEnds.remove(this.#endsHash(row), row);
    this.#byRemote.remove(this.#remoteHash(row), row);
    this.#giveRow(row);
    return headOfMapping && next < 0;
  }

  /** Takes as long as there are sessions. */
  setFiltering(filtering: NatFiltering): void {
    if (filtering === this.#filtering) return;
    this.#filtering = filtering;
    this.#byPermission.clear();
    for (let row = 0; row < this.#fresh; row++) if (this.inUse(row)) this.#permit(row);
  }

  /** Makes the session findable by the filter, behind others of the same permission. */
  #permit(row: number): void {
    if (this.#filtering === 'address-and-port') return;
    if (this.#filtering === 'endpoint-independent') {
      if (this.word(row, ROW.mappingPrevious) < 0) this.#byPermission.add(this.#permissionHash(row), row);
      return;
    }
    const protocol = (this.word(row, ROW.flow) >>> 8) & 0xff;
    const head = this.permission(protocol, this.word(row, ROW.ports) & 0xffff, this.word(row, ROW.remote));
    this.#link(head, row, ROW.peerNext, ROW.peerPrevious);
    if (head < 0) this.#byPermission.add(this.#permissionHash(row), row);
  }

  #forbid(row: number): void {
    if (this.#filtering === 'address-and-port') return;
    const byPeer = this.#filtering === 'address';
    if (this.word(row, byPeer ? ROW.peerPrevious : ROW.mappingPrevious) < 0) {
      const next = this.word(row, byPeer ? ROW.peerNext : ROW.mappingNext);
      this.#byPermission.remove(this.#permissionHash(row), row);
      if (next >= 0) this.#byPermission.add(this.#permissionHash(next), next);
    }
    if (byPeer) this.#unlink(row, ROW.peerNext, ROW.peerPrevious);
  }

  /** Puts `row` behind the head of a list; without one it is the head. */
  #link(head: number, row: number, next: number, previous: number): void {
    const second = head < 0 ? -1 : this.word(head, next);
    this.#setWord(row, previous, head);
    this.#setWord(row, next, second);
    if (head >= 0) this.#setWord(head, next, row);
    if (second >= 0) this.#setWord(second, previous, row);
  }

  #unlink(row: number, next: number, previous: number): void {
    const after = this.word(row, next);
    const before = this.word(row, previous);
    if (after >= 0) this.#setWord(after, previous, before);
    if (before >= 0) this.#setWord(before, next, after);
  }

  #takeRow(): number {
    this.#count += 1;
    const row = this.#free;
    if (row >= 0) {
      this.#free = this.word(row, ROW.inner);
      return row;
    }
    invariant(this.#fresh < SESSIONS_MAX, 'the limit of sessions is below SESSIONS_MAX');
    const chunk = this.chunks[this.#fresh >>> CHUNK_SHIFT];
    const room = chunk === undefined ? 0 : chunk.length / ROW_WORDS;
    if ((this.#fresh & CHUNK_MASK) >= room || chunk === undefined) this.#growRows(room);
    this.#fresh += 1;
    return this.#fresh - 1;
  }

  /** The first chunk doubles, so that few sessions take little; the others come whole. */
  #growRows(room: number): void {
    const index = this.#fresh >>> CHUNK_SHIFT;
    const rows = index > 0 ? 1 << CHUNK_SHIFT : Math.max(ROWS_MIN, 2 * room);
    const grown = new Int32Array(rows * ROW_WORDS);
    if (room > 0) grown.set(this.chunks[index]!);
    this.chunks[index] = grown;
  }

  #giveRow(row: number): void {
    this.#count -= 1;
    if (this.#count === 0) {
      this.#release();
      return;
    }
    this.#setWord(row, ROW.flow, 0);
    this.#setWord(row, ROW.inner, this.#free);
    this.#free = row;
  }

  #release(): void {
    this.chunks.length = 0;
    this.#fresh = 0;
    this.#free = -1;
    this.#byEnds.clear();
    this.#byInner.clear();
    this.#byRemote.clear();
    this.#byPermission.clear();
  }

  #setWord(row: number, word: number, value: number): void {
    this.chunks[row >>> CHUNK_SHIFT]![(row & CHUNK_MASK) * ROW_WORDS + word] = value;
  }

  #endsHash(row: number): number {
    const flow = this.word(row, ROW.flow);
    const inner = this.word(row, ROW.inner);
    const innerPort = this.word(row, ROW.ports) >>> 16;
    return keyedHash(this.#keys, inner, innerPort, (flow >>> 8) & 0xff, this.word(row, ROW.remote), flow >>> 16);
  }

  #innerHash(row: number): number {
    const protocol = (this.word(row, ROW.flow) >>> 8) & 0xff;
    return keyedHash(this.#keys, this.word(row, ROW.inner), this.word(row, ROW.ports) >>> 16, protocol, 0, 0);
  }

  #remoteHash(row: number): number {
    const flow = this.word(row, ROW.flow);
    const externalPort = this.word(row, ROW.ports) & 0xffff;
    return keyedHash(this.#keys, this.word(row, ROW.remote), flow >>> 16, (flow >>> 8) & 0xff, 0, externalPort);
  }

  #permissionHash(row: number): number {
    const address = this.#filtering === 'address' ? this.word(row, ROW.remote) : 0;
    const protocol = (this.word(row, ROW.flow) >>> 8) & 0xff;
    return keyedHash(this.#keys, address, 0, protocol, 0, this.word(row, ROW.ports) & 0xffff);
  }
}

const ROWS_MIN = 16;
