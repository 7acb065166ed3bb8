/** The counters of a compartment while it writes them. */
import type { CompartmentCounters } from './contract.ts';

export type Counters = { -readonly [Name in keyof CompartmentCounters]: number };

export const newCounters = (): Counters => ({
  forwarded: 0,
  delivered: 0,
  originated: 0,
  fragmented: 0,
  fragments: 0,
  mssClamped: 0,
  echoReplies: 0,
  icmpErrors: 0,
  icmpErrorsOverRate: 0,
  icmpErrorsWithoutSource: 0,
  icmpErrorsWithoutBuffer: 0,
  pingsUnmatched: 0,
  pingsRefused: 0,
  routesRefused: 0,
});
