import { describe, expect, it, vi } from 'vitest';
import { PacketPool, parseAddress } from '../../src/ip/index.ts';
import { doctor, openUdp } from '../../src/runtime/index.ts';

const loopback = parseAddress('127.0.0.1')!;

describe('doctor', () => {
  it('looks at everything a gateway needs, and says of each failure what it costs', async () => {
    const checks = await doctor({ addresses: [loopback], ports: { ike: 0, natt: 0 } });
    expect(checks.map((check) => check.name)).toEqual([
      'platform',
      'node',
      'koffi',
      'crypto ipsec-mb',
      'crypto openssl',
      'crypto node',
      'crypto noble',
      'checksums',
      'rights',
      'tun',
      'tap',
      'packet',
      'udp 127.0.0.1:0',
      'udp 127.0.0.1:0',
      'ip-50 127.0.0.1',
      'ip-47 127.0.0.1',
      'socket buffers',
      'threads',
      'clock',
      'memory',
    ]);
    for (const check of checks) {
      expect(check.found).not.toBe('');
      if (check.level === 'ok') expect([check.cost, check.advice]).toEqual(['', '']);
      else expect(check.cost).not.toBe('');
    }
  });

  it('says of an engine that the environment excludes how to have it back', async () => {
    vi.stubEnv('BULKHEAD_WITHOUT_ENGINES', 'openssl');
    const checks = await doctor({ addresses: [loopback], ports: { ike: 0, natt: 0 } });
    expect(checks.find((check) => check.name === 'crypto openssl')).toMatchObject({
      level: 'warning',
      found: 'switched off (BULKHEAD_WITHOUT_ENGINES)',
      advice: 'unset BULKHEAD_WITHOUT_ENGINES, or name others in it',
    });
    vi.unstubAllEnvs();
  });

  it('finds a port in use', async () => {
    const pool = new PacketPool(1);
    const socket = await openUdp({
      local: { address: loopback, port: 0 },
      pool,
      receive: (packet) => pool.release(packet),
    });
    const checks = await doctor({ addresses: [loopback], ports: { ike: socket.local.port, natt: 0 } });
    expect(checks.find((check) => check.name === `udp 127.0.0.1:${socket.local.port}`)).toEqual({
      name: `udp 127.0.0.1:${socket.local.port}`,
      level: 'error',
      found: 'EADDRINUSE',
      cost: 'no peer can reach this gateway with IKE',
      advice: 'Another IKE daemon holds the port: stop it, or set gateway.external.ports',
    });
    await socket.close();
  });
});
