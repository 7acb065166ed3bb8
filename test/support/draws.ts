/**
 * How often a test repeats what differs in its draw and in nothing else: a quarter of it where somebody waits for the answer, all of
 * it in CI, which has `BULKHEAD_REQUIRE_PEERS=1`, and with `BULKHEAD_DRAWS=all`.
 */
export const draws = (all: number): number => (ALL ? all : Math.ceil(all / 4));

const ALL = process.env.BULKHEAD_REQUIRE_PEERS === '1' || process.env.BULKHEAD_DRAWS === 'all';
