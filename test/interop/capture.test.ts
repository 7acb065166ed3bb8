/** What `capture` writes of a gateway with virtual networks, in Wireshark's eyes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run } from '../cli/world.ts';
import { host, NAMES, NAT, prepare, SITE, udp, VM, VSID } from '../gateway/virtual-world.ts';
import { requirePeers } from '../support/peers.ts';
import { tshark, tsharkFields } from '../support/tshark.ts';

requirePeers('tshark')('a capture of two tenants with the same addresses', () => {
  let folder: string;
  let file: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'bulkhead-capture-'));
    file = join(folder, 'all.pcapng');
    const { world, backend } = host();
    prepare(world);
    let done = false;
    const written = run(`capture --all --out ${file} --count 40`, backend).finally(() => {
      done = true;
    });
    // Until the tap is set nobody hears of it.
    while (!done) {
      for (const name of NAMES) {
        world.fromVm(name, udp(VM, 5000, '192.0.2.80', 7));
        world.fromVm(name, udp(VM, 5000, SITE, 7));
        world.fromOutside(udp('192.0.2.80', 7, NAT[name], 5000));
      }
      world.fromOutside(udp('192.0.2.99', 7, NAT.contoso, 5000));
      world.run(1000);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(await written).toMatchObject({ exit: 0 });
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('RFC 7637 §3.2: NVGRE with its VSID, dissected to the inner packet', async () => {
    const rows = await tsharkFields(file, ['frame.interface_name', 'gre.key', 'ip.dst'], { filter: 'gre' });
    expect(rows.map(([name]) => name)).toEqual(rows.map(() => 'underlay'));
    expect(new Set(rows.map(([, key]) => Number(key) >>> 8))).toEqual(new Set(NAMES.map((name) => VSID[name])));
    for (const [, , destinations] of rows) expect(destinations!.split(',')).toHaveLength(2);
  });

  it('an interface for each point, a direction and a verdict for each packet', async () => {
    const fields = ['frame.interface_name', 'frame.packet_flags_direction', 'frame.comment'];
    const rows = await tsharkFields(file, fields);
    const names = new Set(rows.map(([name]) => name));
    for (const name of ['underlay', 'external', ...NAMES.map((n) => `${n}/vsid:${VSID[n]}`), 'contoso/site'])
      expect([name, names.has(name)]).toEqual([name, true]);
    for (const [, direction, comment] of rows) {
      expect(Number(direction)).toBeGreaterThan(0);
      expect(comment).toMatch(/^(out|dropped|local): /);
    }
    expect(rows.some(([, , comment]) => comment!.includes('natFiltered'))).toBe(true);
  });

  it('nothing that Wireshark warns of, checksums included', async () => {
    const preferences = ['ip.check_checksum:TRUE', 'udp.check_checksum:TRUE'];
    const wrong =
      '_ws.malformed || _ws.expert.severity >= 0x600000 || ip.checksum.status == 0 || udp.checksum.status == 0';
    expect(await tshark(file, [], { preferences, filter: wrong })).toBe('');
    expect((await tsharkFields(file, ['udp.checksum.status'], { preferences, filter: 'udp' })).length).toBeGreaterThan(
      40,
    );
  });
});
