/** What the host opens for the gateway beside IKE and ESP: the sockets of the underlay, and ports that carry frames. */
import { networkInterfaces } from 'node:os';
import { afterEach, expect, it } from 'vitest';
import type { InterfaceDocument } from '../../src/config/index.ts';
import type { GatewayEvent } from '../../src/gateway/index.ts';
import { type Address, octetsOf, PacketPool } from '../../src/ip/index.ts';
import { Departures } from '../../src/runtime/departures.ts';
import { createLog, Readiness } from '../../src/runtime/index.ts';
import { mtuProblem, type OpenPort, openPort } from '../../src/runtime/open-port.ts';
import { Outbox } from '../../src/runtime/outbox.ts';
import { Underlays } from '../../src/runtime/underlays.ts';
import { Kept, MAC_A, MAC_B } from '../support/frames.ts';
import { addr, counting, pfx } from '../support/packets.ts';
import { missingPeers, requirePeers } from '../support/peers.ts';
import { enterPrivateNetwork } from '../support/private-network.ts';
import { sh, until } from '../support/process.ts';

const NEEDS = ['linux', 'koffi', 'root', 'netns', 'tun'] as const;
if (missingPeers(...NEEDS).length === 0) enterPrivateNetwork();

const undo: (() => unknown)[] = [];
const pool = new PacketPool(64, 65535);

afterEach(async () => {
  for (const each of undo.splice(0).reverse()) await each();
  expect(pool.taken).toBe(0);
  expect(Object.keys(networkInterfaces())).toEqual(['lo']);
});

interface End {
  readonly underlays: Underlays;
  readonly heard: string[];
  readonly lines: string[];
}

function end(native = true): End {
  const heard: string[] = [];
  const lines: string[] = [];
  const log = createLog({ level: 'warn', format: 'json', write: (line) => void lines.push(line) });
  const departures = new Departures(log);
  const readiness = native ? new Readiness() : undefined;
  const dispatch = (event: GatewayEvent): void => {
    if (event.type === 'underlay-state') heard.push(event.problem ?? 'up');
    else if (event.type === 'underlay') {
      heard.push(`${octetsOf(event.packet).length} octets from ${event.remote.join('.')}`);
      pool.release(event.packet);
    }
  };
  const outbox = new Outbox(pool);
  const underlays = new Underlays({
    pool,
    log,
    outbox,
    departures,
    readiness,
    offload: {},
    planes: undefined,
    dispatch,
  });
  undo.push(async () => {
    underlays.close();
    await departures.all();
    await readiness?.close();
  });
  return { underlays, heard, lines };
}

const config = (encapsulation: 'nvgre' | 'nvgre-udp', ...addresses: Address[]) => ({
  addresses,
  encapsulation,
  sourcePort: 'flow' as const,
  mtu: 1500,
});

const A = addr('127.0.0.1');
const B = addr('127.0.0.2');

requirePeers(...NEEDS)('the underlay of a host', () => {
  for (const encapsulation of ['nvgre', 'nvgre-udp'] as const)
    it(`${encapsulation}: reaches its peers, is closed and opened anew in one breath`, async () => {
      const [near, far] = [end(), end()];
      await near.underlays.open(0, config(encapsulation, A, addr('::1')));
      await far.underlays.open(0, config(encapsulation, B));
      for (let round = 0; round < 3; round++) {
        near.underlays.send({ do: 'underlay', local: A, remote: B, packet: pool.from(counting(100 + round))! });
        await until(() => far.heard.length === 2 + round);
        near.underlays.close();
        near.underlays.send({ do: 'underlay', local: A, remote: B, packet: pool.from(counting(100))! });
        await near.underlays.open(0, config(encapsulation, A));
      }
      expect(far.heard).toEqual(['up', ...[100, 101, 102].map((length) => `${length} octets from 127.0.0.1`)]);
      expect(near.heard).toEqual(['up', 'up', 'up', 'up']);
    });

  it('says what is wrong, and opens what can be when it is asked again', async () => {
    const { underlays, heard, lines } = end();
    await underlays.open(0, config('nvgre', addr('192.0.2.7')));
    expect(heard[0]).toMatch(/^IP protocol 47 on 192\.0\.2\.7: .*\(EADDRNOTAVAIL\)/);
    expect(lines.join()).toContain('cannot reach the underlay');
    underlays.close();
    await underlays.open(0, config('nvgre', A));
    expect(heard[1]).toBe('up');
  });

  it('without native code has GRE in UDP only, and says so', async () => {
    const { underlays, heard } = end(false);
    await underlays.open(0, config('nvgre', A));
    expect(heard[0]).toMatch(/needs the optional package koffi; without it set `encapsulation: nvgre-udp`/);
    underlays.close();
    await underlays.open(0, config('nvgre-udp', A));
    expect(heard[1]).toBe('up');
  });

  it('what is not wanted any more when it is open is closed, and not told', async () => {
    const { underlays, heard } = end();
    const opening = underlays.open(0, config('nvgre-udp', A));
    underlays.close();
    await opening;
    expect(heard).toEqual([]);
  });
});

requirePeers(...NEEDS)('a port of the document', () => {
  const LINK = {
    name: 'lan',
    mtu: 1400,
    addresses: [pfx('10.9.0.2/24')],
    hostRoutes: 'none',
    hostAddresses: [],
  } as const;

  function opened(
    more: Pick<InterfaceDocument, 'driver' | 'device' | 'mac'> & Partial<InterfaceDocument>,
    machine?: Uint8Array,
  ): OpenPort {
    const port = openPort(
      { ...LINK, ...more },
      { pool, readiness: undefined, offload: {}, receive: new Kept(pool).receive, failed: () => {}, machine },
    );
    undo.push(() => port.close());
    return port;
  }

  it('tap: the host is on the other end, its routes lead to our address; or a machine is, with its MAC', () => {
    const hostAddresses = [pfx('10.9.0.1/24')];
    const port = opened({ driver: 'tap', device: 'bh-p1', mac: MAC_B, hostAddresses });
    expect(port.route?.([pfx('10.2.0.0/16')])).toEqual([]);
    expect(sh('ip', ['route', 'show', '10.2.0.0/16'])).toMatch(/^10\.2\.0\.0\/16 via 10\.9\.0\.2 dev bh-p1/);
    const machine = opened({ driver: 'tap', device: 'bh-p2', mac: 'auto' }, MAC_A);
    expect(sh('ip', ['link', 'show', 'bh-p2'])).toContain('02:00:00:00:00:0a');
    expect([port.kind, machine.kind]).toEqual(['tap', 'tap']);
  });

  it('packet: promiscuous for another MAC than the interface has, for machines, and where none is said', () => {
    sh('ip', ['link', 'add', 'bh-p3', 'address', '02:00:00:00:00:0a', 'type', 'veth', 'peer', 'name', 'bh-p4']);
    undo.push(() => sh('ip', ['link', 'del', 'bh-p3']));
    const promiscuity = (): string => sh('ip', ['-d', 'link', 'show', 'bh-p3']).match(/promiscuity (\d)/)![1]!;
    opened({ driver: 'packet', device: 'bh-p3', mac: MAC_A });
    expect(promiscuity()).toBe('0');
    opened({ driver: 'packet', device: 'bh-p3', mac: MAC_B });
    expect(promiscuity()).toBe('1');
    opened({ driver: 'packet', device: 'bh-p3', mac: 'auto' });
    expect(promiscuity()).toBe('2');
    opened({ driver: 'packet', device: 'bh-p3', mac: MAC_A }, MAC_A);
    expect(promiscuity()).toBe('3');
  });

  it('says what is lost where a device carries more than the provider network, or less than its document', () => {
    sh('ip', ['link', 'add', 'bh-p6', 'mtu', '1500', 'type', 'veth', 'peer', 'name', 'bh-p7']);
    undo.push(() => sh('ip', ['link', 'del', 'bh-p6']));
    const document = { ...LINK, driver: 'packet', device: 'bh-p6', mac: MAC_A } as const;
    const vm = opened(document, MAC_A);
    expect(mtuProblem(document, vm, true)).toMatch(
      /^VM lan: bh-p6 carries 1500 octets and the provider network 1400 inside .* Set the MTU of the VM to 1400, or .* by 100$/,
    );
    expect(mtuProblem(document, vm, false)).toBeUndefined();
    expect(mtuProblem({ ...document, mtu: 1500 }, vm, true)).toBeUndefined();
    expect(mtuProblem({ ...document, mtu: 9000 }, vm, false)).toMatch(/carries 1500 octets, less than its mtu 9000/);
    // Devices of our own have the MTU we give them.
    const tap = opened({ driver: 'tap', device: 'bh-p8', mac: MAC_B });
    expect(mtuProblem({ ...document, device: 'bh-p8' }, tap, true)).toBeUndefined();
  });

  it('tun: as before', () => {
    const port = opened({ driver: 'tun', device: 'bh-p5', mac: 'auto', hostAddresses: [pfx('10.9.0.1/24')] });
    expect([port.kind, port.linkHeader]).toEqual(['tun', 0]);
  });
});
