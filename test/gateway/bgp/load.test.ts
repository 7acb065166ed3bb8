/** A tenant's full table comes, changes and goes while the session of another has a hold time of three seconds. */
import { describe, expect, it } from 'vitest';
import { encodeUpdate, IPV4_UNICAST } from '../../../src/bgp/message/index.ts';
import { ROUTES_AT_ONCE } from '../../../src/bgp/speaker.ts';
import { type Bytes, concat } from '../../../src/core/index.ts';
import { formatAddress, ipv4Octets } from '../../../src/ip/index.ts';
import { addr } from '../../support/packets.ts';
import { Load, loadDocument, PEER_AS } from './load.ts';

const MANY = 60_000;
/** A slow machine: done at once, all of them would take twice the hold time. */
const slow = (changes: number): number => 0.1 * changes;

const feed = (nextHop: string): Bytes => {
  const context = { ebgp: true, fourOctetAs: true, maximumLength: 4096, addPath: [], families: [IPV4_UNICAST] };
  const attributes = [
    { flags: 0x40, type: 1, value: { name: 'origin', origin: 'igp' } },
    { flags: 0x40, type: 2, value: { name: 'asPath', segments: [{ type: 'sequence', asns: [PEER_AS] }] } },
    { flags: 0x40, type: 3, value: { name: 'nextHop', address: addr(nextHop) } },
  ] as const;
  const messages: Bytes[] = [];
  for (let from = 0; from < MANY; from += 800) {
    const nlri = Array.from({ length: Math.min(800, MANY - from) }, (_, i) => ({
      prefix: { address: ipv4Octets(0x1400_0000 + (from + i) * 256), length: 24 },
    }));
    messages.push(encodeUpdate({ kind: 'update', withdrawn: [], attributes, nlri }, context));
  }
  return concat(...messages);
};

/** Routes of red without those of its site. */
const own = 2;

/** Both sessions are established, and red's site has said everything. */
function loaded(nextHop = '10.1.0.9'): Load {
  const load = new Load({ cost: slow });
  load.run(5000);
  expect(load.routeCount('red')).toBe(own);
  load.sites.red.say(feed(nextHop), load.now);
  load.run(120_000, () => load.routeCount('red') === own + MANY);
  expect(load.routeCount('red')).toBe(own + MANY);
  return load;
}

/** Blue has said KEEPALIVE every second, as if it were alone: RFC 4271 §4.4 has it at most every third of the hold time. */
function expectBlueAlive(load: Load, since: number, most = ROUTES_AT_ONCE): void {
  expect(load.sites.blue.ends).toEqual([]);
  expect(load.mostChanges).toBeGreaterThan(0);
  expect(load.mostChanges).toBeLessThanOrEqual(most);
  expect(load.silence('blue', since)).toBeLessThan(2000);
}

describe('RFC 4271 §6.5: the hold time of one tenant holds while another', () => {
  it(`is told of ${MANY} prefixes, and loses its session`, () => {
    const load = loaded();
    expectBlueAlive(load, 5000);
    const lostAt = load.now;
    load.mostChanges = 0;
    load.sites.red.close(load.now);
    load.run(load.now + 60_000, () => load.routeCount('red') === own);
    expect(load.routeCount('red')).toBe(own);
    expect(load.now - lostAt).toBeGreaterThanOrEqual(slow(MANY));
    expectBlueAlive(load, lostAt);
  });

  it('is taken out of the document with its full table, and comes back', () => {
    const load = loaded();
    const goneAt = load.now;
    load.mostChanges = 0;
    load.apply(loadDocument().replace(/ {2}- name: red.*/s, ''));
    expect(load.gateway.compartment('red')).toBeUndefined();
    expectBlueAlive(load, goneAt);
    load.apply(loadDocument());
    load.run(load.now + 5_000);
    expect(load.routeCount('red')).toBe(own);
    expectBlueAlive(load, goneAt);
  });

  it('gets another import policy, and another: its table goes and comes back', () => {
    const load = loaded();
    const changedAt = load.now;
    load.mostChanges = 0;
    load.apply(loadDocument().replace(/import: all(?=[^}]*holdSeconds: 90)/, 'import: none'));
    load.run(load.now + 60_000, () => load.routeCount('red') === own);
    expect(load.routeCount('red')).toBe(own);
    load.apply(loadDocument());
    load.run(load.now + 60_000, () => load.routeCount('red') === own + MANY);
    expect(load.routeCount('red')).toBe(own + MANY);
    expectBlueAlive(load, changedAt);
    expect(load.sites.red.ends).toEqual([]);
  });

  it('has another way to the next hop of all its routes, and none', () => {
    const load = loaded('10.3.0.7');
    const ways = (): string[] => {
      const compartment = load.gateway.compartment('red')!;
      const names = new Map(compartment.interfaces().map(({ number, name }) => [number, name]));
      const routes = compartment.routes({ origins: ['bgp'] });
      const words = routes.map((each) => `${names.get(each.interface)} ${formatAddress(each.nextHop!)}`);
      return [...new Set(words)].sort();
    };
    expect(ways()).toEqual(['other 10.3.0.7']);
    const changedAt = load.now;
    load.mostChanges = 0;
    load.apply(loadDocument().replace(/(name: red\n)/, '$1    routes: [{ prefix: 10.3.0.7/32, via: 10.1.0.77 }]\n'));
    expect(ways()).toEqual(['inside 10.1.0.77', 'other 10.3.0.7']);
    load.run(load.now + 60_000, () => (load.gateway.deadline()?.at ?? 0) > load.now);
    expect(ways()).toEqual(['inside 10.1.0.77']);
    load.apply(loadDocument().replace(/(name: red\n)/, '$1    routes: [{ prefix: 10.3.0.7/32, discard: true }]\n'));
    load.run(load.now + 60_000, () => load.routeCount('red') === own + 1);
    expect(load.routeCount('red')).toBe(own + 1);
    // What the tables say, what follows from ways, and the document's own.
    expectBlueAlive(load, changedAt, 2 * ROUTES_AT_ONCE + 4);
    expect(load.sites.red.ends).toEqual([]);
  });
});
