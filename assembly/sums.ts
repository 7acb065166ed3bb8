/**
 * The two inner loops of the data path in WebAssembly SIMD, in AssemblyScript: the Internet checksum's sum of octets where
 * they stand, and of octets while they are copied.
 *
 * Read first: RFC 1071 §2; `src/ip/superframe-sum.ts`, whose numbers these are and which says when they are asked for.
 * A lane of 16 bits is little-endian: the high octet of a word in network order, and 256 times the low one. Lanes are added
 * modulo 2^16 and low octets apart from them; what these leave of a lane is the sum of its high octets. That takes three
 * instructions a vector and no constant: V8 13 makes constants anew in every turn of a loop.
 * Addresses are offsets in the memory that the caller brings; nothing of this module lies there, nothing is remembered.
 * Limits: sums are modulo 2^32, so exact for up to 131,070 octets; bounds are the caller's.
 */

/** Adds the 16-bit words of `length` octets; an odd last octet is the high half of a word. */
export function sum(at: usize, length: u32): u32 {
  let words = NOTHING;
  for (; length > BLOCK; length -= BLOCK, at += BLOCK) words = i32x4.add(words, sumBlock(at, BLOCK));
  return total(i32x4.add(words, sumBlock(at, length)));
}

/** Copies `length` octets, which do not overlap with where they go, and gives their sum. */
export function copySum(to: usize, from: usize, length: u32): u32 {
  let words = NOTHING;
  for (; length > BLOCK; length -= BLOCK, from += BLOCK, to += BLOCK) {
    words = i32x4.add(words, copyBlock(to, from, BLOCK));
  }
  return total(i32x4.add(words, copyBlock(to, from, length)));
}

/** At most 252 vectors, or fewer and four pieces of one: so many octets add up below 2^16 in a lane. */
const BLOCK: u32 = 63 * 64;
const NOTHING = i32x4.splat(0);

function sumBlock(at: usize, length: u32): v128 {
  let lanes = NOTHING;
  let lows = NOTHING;
  for (; length >= 64; length -= 64, at += 64) {
    const a = v128.load(at);
    const b = v128.load(at, 16);
    const c = v128.load(at, 32);
    const d = v128.load(at, 48);
    lanes = plus(lanes, plus(plus(a, b), plus(c, d)));
    lows = plus(lows, plus(plus(low(a), low(b)), plus(low(c), low(d))));
  }
  for (; length >= 16; length -= 16, at += 16) {
    const a = v128.load(at);
    lanes = plus(lanes, a);
    lows = plus(lows, low(a));
  }
  if (length & 8) {
    const a = v128.load64_zero(at);
    lanes = plus(lanes, a);
    lows = plus(lows, low(a));
    at += 8;
  }
  if (length & 4) {
    const a = v128.load32_zero(at);
    lanes = plus(lanes, a);
    lows = plus(lows, low(a));
    at += 4;
  }
  if (length & 2) {
    const a = v128.load16_lane(at, NOTHING, 0);
    lanes = plus(lanes, a);
    lows = plus(lows, low(a));
    at += 2;
  }
  if (length & 1) lanes = plus(lanes, v128.load8_lane(at, NOTHING, 0));
  return wordsOf(lanes, lows);
}

function copyBlock(to: usize, from: usize, length: u32): v128 {
  let lanes = NOTHING;
  let lows = NOTHING;
  for (; length >= 64; length -= 64, from += 64, to += 64) {
    const a = v128.load(from);
    const b = v128.load(from, 16);
    const c = v128.load(from, 32);
    const d = v128.load(from, 48);
    v128.store(to, a);
    v128.store(to, b, 16);
    v128.store(to, c, 32);
    v128.store(to, d, 48);
    lanes = plus(lanes, plus(plus(a, b), plus(c, d)));
    lows = plus(lows, plus(plus(low(a), low(b)), plus(low(c), low(d))));
  }
  for (; length >= 16; length -= 16, from += 16, to += 16) {
    const a = v128.load(from);
    v128.store(to, a);
    lanes = plus(lanes, a);
    lows = plus(lows, low(a));
  }
  if (length & 8) {
    const a = v128.load64_zero(from);
    v128.store64_lane(to, a, 0);
    lanes = plus(lanes, a);
    lows = plus(lows, low(a));
    from += 8;
    to += 8;
  }
  if (length & 4) {
    const a = v128.load32_zero(from);
    v128.store32_lane(to, a, 0);
    lanes = plus(lanes, a);
    lows = plus(lows, low(a));
    from += 4;
    to += 4;
  }
  if (length & 2) {
    const a = v128.load16_lane(from, NOTHING, 0);
    v128.store16_lane(to, a, 0);
    lanes = plus(lanes, a);
    lows = plus(lows, low(a));
    from += 2;
    to += 2;
  }
  if (length & 1) {
    const a = v128.load8_lane(from, NOTHING, 0);
    v128.store8_lane(to, a, 0);
    lanes = plus(lanes, a);
  }
  return wordsOf(lanes, lows);
}

function plus(a: v128, b: v128): v128 {
  return i16x8.add(a, b);
}

function low(lanes: v128): v128 {
  return i16x8.shr_u(lanes, 8);
}

/** The sum of the words in network order, in four parts. */
function wordsOf(lanes: v128, lows: v128): v128 {
  const highs = i16x8.sub(lanes, i16x8.shl(lows, 8));
  return i32x4.add(i32x4.shl(i32x4.extadd_pairwise_i16x8_u(highs), 8), i32x4.extadd_pairwise_i16x8_u(lows));
}

function total(parts: v128): u32 {
  return (
    i32x4.extract_lane(parts, 0) +
    i32x4.extract_lane(parts, 1) +
    i32x4.extract_lane(parts, 2) +
    i32x4.extract_lane(parts, 3)
  );
}
