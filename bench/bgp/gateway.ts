/**
 * The whole way of a full table in a gateway, in one process: TCP segments of a tenant's site in, routes in the tenant's FIB, and all of them
 * gone when the session is lost. Another tenant, with the same addresses, has a session with a hold time of three seconds meanwhile.
 *
 * The clock goes on by what the gateway has really taken for each event; the sites take nothing.
 */
import { monotonicMillis } from '../../src/runtime/clock.ts';
import { Load, PEER } from '../../test/gateway/bgp/load.ts';
import { median, print, printTable } from '../support.ts';
import { type FeedName, feedOf } from './feeds.ts';

interface Turn {
  /** Until all routes are in the FIB, and processor time of it. */
  readonly there: number;
  readonly thereCpu: number;
  readonly gone: number;
  readonly goneCpu: number;
  /** The longest that the gateway took for one event. */
  readonly longest: number;
  /** The longest that the quiet tenant's site heard nothing. */
  readonly silence: number;
}

export function gateway(rounds: number, name: FeedName, file: string): void {
  const feed = feedOf(name, file, PEER);
  const turns = Array.from({ length: rounds }, () => turn(feed.announce, feed.prefixes));
  print(`${feed.prefixes} prefixes into the FIB of a tenant, in process; hold time of another tenant 3 s`);
  const of = (value: (turn: Turn) => number, digits: number): string => median(turns.map(value)).toFixed(digits);
  printTable(
    ['', 'all there s', 'CPU s', 'all gone s', 'CPU s', 'longest step ms', 'silence s', 'most'],
    [
      [
        name,
        of((t) => t.there / 1000, 3),
        of((t) => t.thereCpu / 1000, 2),
        of((t) => t.gone / 1000, 3),
        of((t) => t.goneCpu / 1000, 2),
        of((t) => t.longest, 0),
        of((t) => t.silence / 1000, 2),
        Math.max(...turns.map((t) => t.silence / 1000)).toFixed(2),
      ],
    ],
  );
  print();
}

function turn(announce: Uint8Array, prefixes: number): Turn {
  const load = new Load({ cost: () => 0, clock: monotonicMillis });
  load.run(5000);
  const own = load.routeCount('red');
  load.longest = 0;
  const begun = load.now;
  load.sites.red.say(announce, begun);
  const thereCpu = cpuOf(() => load.run(begun + MOST, () => load.routeCount('red') === own + prefixes));
  const lost = load.now;
  load.sites.red.close(lost);
  const goneCpu = cpuOf(() => load.run(lost + MOST, () => load.routeCount('red') === own));
  if (load.routeCount('red') !== own || load.sites.blue.ends.length > 0)
    throw new Error(`not all came and went: ${load.routeCount('red')} ${load.sites.blue.ends}`);
  return {
    there: lost - begun,
    thereCpu,
    gone: load.now - lost,
    goneCpu,
    longest: load.longest,
    silence: load.silence('blue', begun),
  };
}

function cpuOf(work: () => void): number {
  const begun = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(begun);
  return (user + system) / 1000;
}

const MOST = 300_000;
