/** Our key files in others' hands: tshark and `bulkhead decode` read a capture of a tunnel to strongSwan with them. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Bulkhead, bulkhead } from '../support/bulkhead.ts';
import { ADDRESSES, Topology } from '../support/netns.ts';
import { requirePeers } from '../support/peers.ts';
import { Strongswan } from '../support/strongswan.ts';
import { Capture, tsharkFields } from '../support/tshark.ts';
import { bulkheadEnd, swanConnections, swanEnd } from './ends.ts';

const NEEDS = ['linux', 'root', 'netns', 'tun', 'koffi', 'strongswan', 'ethtool', 'tshark', 'tcpdump', 'ping'] as const;
const describeWithPeers = requirePeers(...NEEDS);

interface Decoded {
  readonly frame: number;
  readonly protocol: string;
  readonly integrity?: string;
  readonly exchange?: string;
  readonly inner?: unknown;
}

describeWithPeers('keys on', () => {
  let network: Topology;
  let gateway: Bulkhead;
  let swan: Strongswan;

  beforeAll(async () => {
    network = new Topology();
    swan = await Strongswan.start(network, 'gwB', swanEnd());
    gateway = await Bulkhead.start(network, 'gwA', bulkheadEnd());
  });

  afterAll(async () => {
    await gateway?.stop();
    await swan?.stop();
    await network?.close();
  });

  // Wireshark 4.0 cannot decrypt ChaCha20-Poly1305 and CCM in ESP.
  describe.each([
    { suite: 'aes256gcm16-prfsha256-ecp256', esp: 'aes256gcm16' },
    { suite: 'aes128-sha256-modp2048', esp: 'aes128-sha256' },
    { suite: 'aes256ctr-sha512-prfsha512-ecp256', esp: 'aes256-sha512' },
  ])('$suite with $esp', ({ suite, esp }) => {
    let file = '';
    let capture: Capture;
    const keys = () => join(gateway.folder, `keys-${esp}`);

    beforeAll(async () => {
      capture = await Capture.start(network, 'inet', 'toA', 'udp port 500 or udp port 4500');
      await swan.load({ connections: swanConnections({ proposals: suite, child: { proposals: esp } }) });
      await gateway.cli('keys', 'on', '--folder', keys());
      await gateway.reload(bulkheadEnd({ start: 'demand', ike: { proposals: [suite] }, child: { proposals: [esp] } }));
      expect(await network.ping('hostA', ADDRESSES.hostB, 3)).toBe(3);
      expect(await gateway.cli('connections', 'rekey', 'hq', '--wait', '10')).toMatchObject([{ outcome: 'done' }]);
      expect(await network.ping('hostA', ADDRESSES.hostB, 2)).toBe(2);
      await gateway.cli('connections', 'down', 'hq', '--wait', '10');
      file = await capture.stop();
    });

    afterAll(async () => capture?.remove());

    it('the folder and its files are for nobody else', () => {
      expect(statSync(keys()).mode & 0o777).toBe(0o700);
      for (const table of ['ikev2_decryption_table', 'esp_sa']) {
        expect(statSync(join(keys(), table)).mode & 0o777).toBe(0o600);
      }
      expect(readFileSync(join(keys(), 'esp_sa'), 'utf8').trim().split('\n')).toHaveLength(4);
    });

    it('RFC 7296 §3.14: tshark decrypts every IKE message and finds what is in it', async () => {
      const options = { keys: keys(), filter: 'isakmp.exchangetype >= 35' };
      const fields = ['isakmp.exchangetype', 'isakmp.typepayload', '_ws.malformed'];
      const rows = await tsharkFields(file, fields, options);
      const inside = (exchange: number) => rows.filter(([type]) => Number(type) === exchange);
      expect(inside(35)).toHaveLength(2);
      // IDi or IDr, AUTH, SA, TSi, TSr inside the encrypted payload (46).
      for (const [, payloads] of inside(35)) {
        const types = payloads!.split(',');
        expect(types).toEqual(expect.arrayContaining(['46', '39', '33', '44', '45']));
      }
      expect(inside(36).length).toBeGreaterThanOrEqual(2);
      for (const [, payloads] of inside(36)) {
        expect(payloads!.split(',')).toEqual(expect.arrayContaining(['46', '33', '40', '44', '45']));
      }
      expect(rows.map(([, , malformed]) => malformed ?? '')).toEqual(rows.map(() => ''));
      const ids = await tsharkFields(file, ['isakmp.id.data.ipv4_addr'], { ...options, filter: 'isakmp.id.data' });
      expect(ids.flat().join()).toContain(ADDRESSES.gwA);
    });

    it('RFC 4303 §2: tshark opens and verifies every ESP packet, before and after the rekey', async () => {
      const options = { keys: keys(), filter: 'esp' };
      const fields = ['esp.sequence', 'icmp.type', 'icmp.seq', 'esp.icv_good'];
      const rows = await tsharkFields(file, fields, options);
      expect(rows.map(([sequence, type]) => [sequence, type])).toEqual(
        [1, 2, 3, 1, 2].flatMap((n) => [
          [String(n), '8'],
          [String(n), '0'],
        ]),
      );
      // tshark 4.0 checks the ICV of HMACs only apart from the decryption.
      for (const [, , , good] of rows) expect(['True', '1', '']).toContain(good ?? '');
    });

    it('bulkhead decode opens and verifies the same', async () => {
      const { code, stdout, stderr } = await bulkhead('decode', file, '--keys', keys(), '--json');
      expect(code).toBe(0);
      expect(stderr).toMatch(/^20 frames, 10 IKE messages, 10 ESP packets; 18 decrypted, 0 failed$/m);
      const frames = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Decoded);
      const packets = frames.filter(({ protocol }) => protocol === 'esp');
      expect(packets).toHaveLength(10);
      const sealed = frames.filter(({ protocol, exchange }) => protocol === 'ike' && exchange !== 'IKE_SA_INIT');
      expect(sealed.length).toBeGreaterThanOrEqual(8);
      expect(new Set([...packets, ...sealed].map(({ integrity }) => integrity))).toEqual(new Set(['ok']));
      expect(packets.every(({ inner }) => JSON.stringify(inner).includes(ADDRESSES.hostB))).toBe(true);
    });
  });

  it('off again, nothing more is written; without asking, nothing ever', async () => {
    const folder = join(gateway.folder, 'keys-off');
    await gateway.cli('keys', 'on', '--folder', folder);
    await gateway.cli('keys', 'off');
    const ends = { proposals: 'aes256gcm16-prfsha256-ecp256', child: { proposals: 'aes256gcm16' } };
    await swan.load({ connections: swanConnections(ends) });
    await gateway.reload(bulkheadEnd({ start: 'demand' }));
    expect(await network.ping('hostA', ADDRESSES.hostB, 1)).toBe(1);
    expect(existsSync(join(folder, 'esp_sa'))).toBe(false);
    expect(await gateway.cli('keys', 'show')).toEqual([{ enabled: false, folder: null }]);

    // Switched on under way, what is in use is written at once.
    await gateway.cli('keys', 'on', '--folder', folder);
    expect(readFileSync(join(folder, 'esp_sa'), 'utf8').trim().split('\n')).toHaveLength(2);
    expect(readFileSync(join(folder, 'ikev2_decryption_table'), 'utf8').trim().split('\n')).toHaveLength(1);
  });
});
