/**
 * Paths: what one peer says of one prefix. Adj-RIB-In before and after policy are columns of it.
 *
 * Paths come in blocks of 16 that belong to one peer: whose a path is costs nothing a path, and all paths of a peer are found without
 * looking at those of others. Path 0 is none. A peer's blocks go back when its last path goes. Flags of a block are of a generation of its
 * peer, which may be further by now (`generations.ts`).
 *
 * Octets a path: 4 row, 4 next, 4 before, 4 after, 4 arrival, 1 flags, 4 where ADD-PATH (RFC 7911) is received; a block has 10 more.
 */
import { grown8, grown16, grown32, larger } from './columns.ts';

export const PATH = {
  /** Of a session that is gone (RFC 4724), or not heard of again since BoRR (RFC 7313). */
  stale: 0x01,
  /** RFC 9494: least preferred. */
  longLived: 0x02,
  /** Withdrawn; lives until every group has said so. */
  gone: 0x04,
  /** RFC 4271 §9.1.2: our AS, our identifier or our cluster is in it. */
  looped: 0x08,
  /** Import policy has refused it. */
  refused: 0x10,
  /** RFC 2439. */
  damped: 0x20,
} as const;

const SHIFT = 4;
const BLOCK = 1 << SHIFT;

export class PathTable {
  rows: Uint32Array = new Uint32Array(2 * BLOCK);
  /** Next path of the prefix. */
  nexts: Uint32Array = new Uint32Array(2 * BLOCK);
  /** Attribute set as received. */
  before: Uint32Array = new Uint32Array(2 * BLOCK);
  /** Attribute set after import policy; 0 where the path may not be chosen. */
  after: Uint32Array = new Uint32Array(2 * BLOCK);
  /** Tenths of a second. */
  arrivals: Uint32Array = new Uint32Array(2 * BLOCK);
  flags: Uint8Array = new Uint8Array(2 * BLOCK);
  #ids: Uint32Array | undefined;
  #owners: Uint16Array = new Uint16Array(2);
  /** Next block of the peer, or next free block. */
  #blocks: Uint32Array = new Uint32Array(2);
  /** Generation of the peer that the flags of a block are of. */
  #generations: Uint32Array = new Uint32Array(2);
  #next = 1;
  #freeBlock = 0;
  /** Block 0 is of peer 0. */
  readonly #peers: PeerPaths[] = [newPeer()];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** One more than the largest path that was ever given. */
  get bound(): number {
    return this.#next << SHIFT;
  }

  get octets(): number {
    return this.rows.length * 21 + this.#owners.length * 10 + (this.#ids?.length ?? 0) * 4;
  }

  owner(path: number): number {
    return this.#owners[path >>> SHIFT]!;
  }

  /** The path identifier that the peer gave it; 0 without ADD-PATH. */
  id(path: number): number {
    return this.#ids === undefined ? 0 : this.#ids[path]!;
  }

  /** Numbers of the peers that have paths, in ascending order. */
  get owners(): number[] {
    return [...this.#peers.keys()].filter((peer) => this.countOf(peer) > 0);
  }

  countOf(peer: number): number {
    return this.#peers[peer]?.count ?? 0;
  }

  /** A generation of the peer begins: all its blocks are behind. */
  advance(peer: number): number {
    return ++this.#of(peer).generation;
  }

  /** The generation that the flags of a path are of, where that is not the peer's; otherwise -1. */
  behind(path: number): number {
    const block = path >>> SHIFT;
    const generation = this.#generations[block]!;
    return generation === this.#peers[this.#owners[block]!]!.generation ? -1 : generation;
  }

  /** Visits the paths of the block that a path is in, whose flags then are of the peer's generation; how many that may be. */
  settle(path: number, visit: (path: number) => void): number {
    const block = path >>> SHIFT;
    this.#each(block, visit);
    this.#generations[block] = this.#peers[this.#owners[block]!]!.generation;
    return BLOCK;
  }

  /** Where the next path of the peer will be; 0: in a block that is new. */
  freeOf(peer: number): number {
    return this.#peers[peer]?.free ?? 0;
  }

  /** What is in the block already has been settled. */
  allocate(peer: number, row: number, id: number): number {
    const own = this.#of(peer);
    if (own.free === 0) this.#extend(peer, own);
    const path = own.free;
    own.free = this.nexts[path]!;
    own.count++;
    this.#count++;
    this.rows[path] = row;
    this.nexts[path] = this.before[path] = this.after[path] = this.flags[path] = 0;
    if (id !== 0 && this.#ids === undefined) this.#ids = new Uint32Array(this.rows.length);
    if (this.#ids !== undefined) this.#ids[path] = id;
    return path;
  }

  /** The caller has unlinked it from its row. */
  release(path: number): void {
    const peer = this.owner(path);
    const own = this.#of(peer);
    this.rows[path] = 0;
    this.nexts[path] = own.free;
    own.free = path;
    this.#count--;
    if (--own.count === 0) this.#giveBack(own);
  }

  /** Visits all paths of a peer; the visitor may not allocate, and may release only what it is called with. */
  each(peer: number, visit: (path: number) => void): void {
    for (let block = this.#peers[peer]?.first ?? 0; block !== 0; ) {
      const next = this.#blocks[block]!;
      this.#each(block, visit);
      block = next;
    }
  }

  /**
   * The same in parts of about `limit` paths: from a block, 0 for the first one; the answer is the block to go on from, 0 at the end. What
   * comes between two parts may change the paths: new ones are visited or not.
   */
  some(peer: number, from: number, limit: number, visit: (path: number) => void): number {
    let block = from === 0 ? (this.#peers[peer]?.first ?? 0) : from;
    for (let left = limit; block !== 0 && left > 0; left -= BLOCK) {
      // Where the peer has had no path at all meanwhile, its blocks may be another's.
      if (this.#owners[block] !== peer) return 0;
      const next = this.#blocks[block]!;
      this.#each(block, visit);
      block = next;
    }
    return block;
  }

  #each(block: number, visit: (path: number) => void): void {
    const start = block << SHIFT;
    for (let path = start; path < start + BLOCK; path++) if (this.rows[path] !== 0) visit(path);
  }

  #of(peer: number): PeerPaths {
    let own = this.#peers[peer];
    if (own === undefined) {
      own = newPeer();
      this.#peers[peer] = own;
    }
    return own;
  }

  #extend(peer: number, own: PeerPaths): void {
    let block = this.#freeBlock;
    if (block !== 0) this.#freeBlock = this.#blocks[block]!;
    else {
      block = this.#next++;
      if (block << SHIFT >= this.rows.length) this.#grow();
    }
    this.#owners[block] = peer;
    this.#generations[block] = own.generation;
    this.#blocks[block] = own.first;
    own.first = block;
    const start = block << SHIFT;
    for (let path = start; path < start + BLOCK; path++) {
      this.rows[path] = 0;
      this.nexts[path] = path + 1;
    }
    this.nexts[start + BLOCK - 1] = own.free;
    own.free = start;
  }

  #giveBack(own: PeerPaths): void {
    for (let block = own.first; block !== 0; ) {
      const next = this.#blocks[block]!;
      this.#blocks[block] = this.#freeBlock;
      this.#freeBlock = block;
      block = next;
    }
    own.first = own.free = 0;
  }

  #grow(): void {
    const length = (larger(this.rows.length) + BLOCK - 1) & -BLOCK;
    for (const name of COLUMNS) this[name] = grown32(this[name], length);
    this.flags = grown8(this.flags, length);
    if (this.#ids !== undefined) this.#ids = grown32(this.#ids, length);
    this.#owners = grown16(this.#owners, length >>> SHIFT);
    this.#blocks = grown32(this.#blocks, length >>> SHIFT);
    this.#generations = grown32(this.#generations, length >>> SHIFT);
  }
}

interface PeerPaths {
  /** First block. */
  first: number;
  /** First free path. */
  free: number;
  count: number;
  /** Goes on when the number is another peer's. */
  generation: number;
}

const newPeer = (): PeerPaths => ({ first: 0, free: 0, count: 0, generation: 0 });

const COLUMNS = ['rows', 'nexts', 'before', 'after', 'arrivals'] as const;
