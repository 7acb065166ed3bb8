import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Bytes, putU32, u32 } from '../../src/core/index.ts';
import { fillIpv4Checksum, ipv4Number, parseAddress, setIpv4Source } from '../../src/ip/index.ts';
import { type Lab, PRINTER } from '../../src/lab/index.ts';
import {
  connectionOf,
  ENDED,
  end,
  foreignIn,
  idsOf,
  isEsp,
  makeLab,
  open,
  ping,
  receivedBy,
  settle,
  site,
  tenantOf,
  vm,
  watchEsp,
} from './fixture.ts';

const GW = ipv4Number(parseAddress('192.0.2.1')!);
const WOODGROVE_SITE = ipv4Number(parseAddress('192.0.2.12')!);

let lab: Lab;

/** An ESP packet from contoso's site to `gw` that was stopped on the way: fresh, authentic, never received. */
function stopped(): Bytes {
  let caught: Bytes | undefined;
  lab.outer.filter = (packet) => {
    if (!isEsp(packet) || u32(packet, 16) !== GW) return true;
    caught = packet.slice();
    return false;
  };
  lab.hosts.contoso.site.ping(vm, { timeoutMs: 100 });
  lab.timeline.advanceTo(lab.timeline.now + 200);
  lab.outer.filter = () => true;
  return caught!;
}

function inject(packet: Bytes): void {
  lab.outer.send(packet);
  lab.timeline.advanceTo(lab.timeline.now + 100);
}

const everybody = (): number[] => [receivedBy(lab, 'contoso'), receivedBy(lab, 'woodgrove')];
const drops = (): Readonly<Record<string, number>> => lab.gw.gateway.status(lab.timeline.now).drops;

describe('two tenants with identical prefixes', () => {
  beforeEach(() => {
    lab = makeLab();
    open(lab);
  });
  afterEach(() => {
    expect(foreignIn(lab)).toBe(0);
    expect(end(lab)).toEqual(ENDED);
  });

  it('identical addresses, each host hears its own site only', () => {
    const queries = Array.from({ length: 20 }, () => [
      lab.hosts.contoso.vm.ping(site),
      lab.hosts.woodgrove.vm.askUdp(site),
      lab.hosts.contoso.site.askUdp(vm),
      lab.hosts.woodgrove.site.ping(vm),
    ]).flat();
    settle(lab, ...queries);
    expect(queries.every(({ outcome }) => outcome === 'reply')).toBe(true);
    for (const tenant of ['contoso', 'woodgrove'] as const) {
      for (const host of Object.values(lab.hosts[tenant])) {
        expect([...host.markers.keys()].every((marker) => marker.startsWith(`bh:${tenant}:`))).toBe(true);
        expect([...host.markers.values()].reduce((a, b) => a + b)).toBeGreaterThanOrEqual(40);
      }
    }
  });

  it('an address only the other tenant has is not answered', () => {
    const queries = [
      lab.hosts.contoso.vm.ping(parseAddress(PRINTER)!),
      lab.hosts.woodgrove.vm.ping(parseAddress(PRINTER)!),
    ];
    settle(lab, ...queries);
    expect(queries.map(({ outcome }) => outcome)).toEqual(['timeout', 'reply']);
    expect(lab.sites.segment('contoso', 'inside').unclaimed).toBe(1);
  });

  it('replayed ESP reaches nobody, from whatever address (RFC 4303 §3.4.3)', () => {
    const seen = watchEsp(lab);
    ping(lab, 'contoso');
    const before = everybody();
    for (const { packet } of seen.slice()) {
      inject(packet.slice());
      const disguised = packet.slice();
      setIpv4Source(disguised, 0, WOODGROVE_SITE);
      inject(disguised);
    }
    expect(everybody()).toEqual(before);
    expect(connectionOf(lab, 'contoso').childSas[0]!.drops).toEqual({ espReplay: 2 });
    expect(connectionOf(lab, 'woodgrove').childSas[0]!.drops).toEqual({});
  });

  it('a flipped bit anywhere in ESP: dropped, and the SA lives on (RFC 4303 §3.4.4)', () => {
    const original = stopped();
    const before = everybody();
    fc.assert(
      fc.property(fc.integer({ min: 20 * 8, max: original.length * 8 - 1 }), (bit) => {
        const broken = original.slice();
        broken[bit >>> 3]! ^= 1 << (bit & 7);
        const { espUnknownSpi = 0, espIntegrity = 0, espReplay = 0 } = drops();
        inject(broken);
        const after = drops();
        const counted = (after.espUnknownSpi ?? 0) + (after.espIntegrity ?? 0) + (after.espReplay ?? 0);
        expect(counted).toBe(espUnknownSpi + espIntegrity + espReplay + 1);
        expect(everybody()).toEqual(before);
      }),
      { numRuns: 200, seed: 1 },
    );
    inject(original);
    expect(everybody()).toEqual([before[0]! + 2, before[1]!]);
  });

  it('the SPI is the door: authentic ESP of contoso sent from woodgrove’s address stays contoso’s', () => {
    const packet = stopped();
    setIpv4Source(packet, 0, WOODGROVE_SITE);
    const before = everybody();
    inject(packet);
    // The echo request, and its answer at the site: the peer has not moved, so the answer takes the known way.
    expect(everybody()).toEqual([before[0]! + 2, before[1]!]);
  });

  it('ESP of contoso under woodgrove’s SPI does not verify', () => {
    const packet = stopped();
    const before = everybody();
    putU32(packet, 20, Number.parseInt(connectionOf(lab, 'woodgrove').childSas[0]!.spiIn, 16));
    inject(packet);
    expect(everybody()).toEqual(before);
    expect(connectionOf(lab, 'woodgrove').childSas[0]!.drops).toEqual({ espIntegrity: 1 });
  });

  it('an unknown SPI is counted and tells nobody anything', () => {
    const packet = stopped();
    const sent = lab.outer.counters.sent;
    putU32(packet, 20, 0x0bad_cafe);
    fillIpv4Checksum(packet, 0);
    inject(packet);
    expect(drops()).toMatchObject({ espUnknownSpi: 1 });
    expect(lab.outer.counters.sent).toBe(sent + 1);
  });

  it('taking one tenant’s tunnel down leaves the other’s alone', () => {
    const before = idsOf(connectionOf(lab, 'woodgrove'));
    lab.gw.dispatch({ type: 'down', tenant: 'contoso', connection: 'site', what: 'ike' });
    lab.timeline.advanceTo(lab.timeline.now + 1000);
    expect(connectionOf(lab, 'contoso').state).toBe('down');
    expect(idsOf(connectionOf(lab, 'woodgrove'))).toEqual(before);
    expect(ping(lab, 'woodgrove')).toMatchObject({ outcome: 'reply', milliseconds: 10 });
  });

  it('compartments share no route and no counter', () => {
    const [a, b] = [tenantOf(lab, 'contoso'), tenantOf(lab, 'woodgrove')];
    expect(a.compartment).not.toBe(b.compartment);
    const [ofA, ofB] = ([a, b] as const).map(({ name }) => lab.gw.gateway.routes(name, {})!);
    expect(ofA!.map(({ prefix, via }) => [prefix, via])).toEqual(ofB!.map(({ prefix, via }) => [prefix, via]));
    expect([ofA!.length > 1, ofA!.length, ofB!.length]).toEqual([true, a.routes, b.routes]);
    ping(lab, 'contoso');
    expect(tenantOf(lab, 'contoso').interfaces[0]!.rxPackets).toBe(a.interfaces[0]!.rxPackets + 1);
    expect(tenantOf(lab, 'woodgrove').interfaces[0]!.rxPackets).toBe(b.interfaces[0]!.rxPackets);
  });
});
