/** Our TCP against that of Linux, through a TUN device in a network of the test's own: both roles, both families, losses, signatures. */
import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Secret } from '../../src/core/index.ts';
import { TcpHost, type TcpOptions } from '../../src/ip/index.ts';
import {
  digestOf,
  KernelLink,
  type KernelSide,
  kernelListens,
  kernelSide,
  pattern,
  type Shim,
} from '../support/kernel-tcp.ts';
import { requirePeers } from '../support/peers.ts';
import { enterPrivateNetwork } from '../support/private-network.ts';

const FIVE_MEGABYTES = 5 << 20;
const LARGE: TcpOptions = { sendBuffer: 1 << 19, receiveBuffer: 1 << 19 };
const ROUGH: Shim = { loss: 0.01, late: 0.02, seed: 7 };

requirePeers(
  'linux',
  'root',
  'netns',
  'tun',
  'koffi',
)('TCP of Linux', () => {
  let link: KernelLink;
  let port = 5000;

  beforeAll(() => {
    enterPrivateNetwork();
    link = new KernelLink(
      new TcpHost({ random: randomBytes, md5: (octets) => createHash('md5').update(octets).digest() }),
    );
  });
  afterAll(() => link.close());

  /** Both sides send `octets`, and both have what the other sent. */
  async function expectExchange(
    role: 'listen' | 'dial',
    family: 4 | 6,
    octets: number,
    options: TcpOptions,
    more: Partial<KernelSide> = {},
  ) {
    port += 1;
    const data = pattern(octets);
    const kernel = kernelSide({ role, family, port, octets, ...more });
    if (role === 'listen') await kernelListens(port);
    const ours = await (role === 'listen' ? link.dial(family, port, options, data) : link.accept(port, options, data));
    expect(ours).toEqual({ received: digestOf(data), octets, closed: 'finished: both sides closed' });
    expect(await kernel).toBe(`${digestOf(data)} ${octets}`);
  }

  it.each([
    ['the kernel listens, IPv4', 'listen', 4],
    ['the kernel dials, IPv6', 'dial', 6],
  ] as const)('five megabytes each way at once: %s', async (_, role, family) => {
    link.impair(undefined);
    await expectExchange(role, family, FIVE_MEGABYTES, LARGE);
  });

  it.each([
    ['the kernel listens, IPv6', 'listen', 6],
    ['the kernel dials, IPv4', 'dial', 4],
  ] as const)('five megabytes each way where packets are lost and come late: %s', async (_, role, family) => {
    link.impair(ROUGH);
    await expectExchange(role, family, FIVE_MEGABYTES, LARGE);
    expect(link.host.counters.retransmissions).toBeGreaterThan(0);
  });

  it.each([
    ['the kernel listens, IPv4', 'listen', 4],
    ['the kernel dials, IPv6', 'dial', 6],
  ] as const)('RFC 2385: both sign, both check: %s', async (_, role, family) => {
    link.impair(undefined);
    const before = link.host.counters.signature;
    await expectExchange(role, family, 200_000, { md5Key: Secret.fromText('router') }, { md5: 'router' });
    expect(link.host.counters.signature).toBe(before);
  });

  it('RFC 2385: with another key nothing is heard, either way', async () => {
    link.impair(undefined);
    const options = { md5Key: Secret.fromText('other'), connectTimeoutMs: 1500 };
    const before = link.host.counters.signature;
    void link.accept(6000, options, new Uint8Array(0));
    const dials = kernelSide({ role: 'dial', family: 4, port: 6000, octets: 1, md5: 'router', patience: 1.5 });
    const listens = kernelSide({ role: 'listen', family: 4, port: 6001, octets: 1, md5: 'router', patience: 2 });
    await kernelListens(6001);
    const ours = await link.dial(4, 6001, options, new Uint8Array(0));
    expect(ours.closed).toBe('timeout: no answer');
    expect(await dials).toMatch(/timeout|Timeout/);
    expect(await listens).toMatch(/timeout|Timeout/);
    expect(link.host.counters.signature).toBeGreaterThan(before);
  });

  it('RFC 5082: with the kernel at one hop, which checks as well', async () => {
    link.impair(undefined);
    const before = link.host.counters.hopLimit;
    await expectExchange('listen', 4, 50_000, { gtsmHops: 1 }, { gtsm: true });
    expect(link.host.counters.hopLimit).toBe(before);
    const options = { gtsmHops: 1, connectTimeoutMs: 500 };
    const listens = kernelSide({ role: 'listen', family: 4, port: 6002, octets: 1, patience: 1 });
    await kernelListens(6002);
    expect((await link.dial(4, 6002, options, new Uint8Array(0))).closed).toBe('timeout: no answer');
    expect(await listens).toMatch(/timeout|Timeout/);
    expect(link.host.counters.hopLimit).toBeGreaterThan(before);
  });

  it('a port nobody listens on is refused, either way', async () => {
    link.impair(undefined);
    expect(await kernelSide({ role: 'dial', family: 4, port: 7000, octets: 1 })).toBe('ConnectionRefusedError');
    expect((await link.dial(4, 7001, {}, new Uint8Array(0))).closed).toMatch(/^refused/);
  });
});
