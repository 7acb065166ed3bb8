import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { StateFile } from '../../src/runtime/index.ts';
import { addr } from '../support/packets.ts';

const folder = mkdtempSync(join(tmpdir(), 'bh-state-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('what a gateway remembers', () => {
  it('external addresses, in a folder that was not there, for nobody else to read', () => {
    const file = join(folder, 'deep', 'gw1.json');
    const first = new StateFile(file);
    expect([first.natAddresses.size, first.problem]).toEqual([0, undefined]);
    const addresses = new Map([
      ['blue', addr('203.0.113.50')],
      ['red', addr('203.0.113.51')],
    ]);
    expect(first.write(addresses)).toBeUndefined();
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const again = new StateFile(file);
    expect([again.natAddresses, again.problem]).toEqual([addresses, undefined]);
    expect(again.write(new Map())).toBeUndefined();
    expect(new StateFile(file).natAddresses.size).toBe(0);
  });

  it.each([
    ['no JSON', '{'],
    ['another version', '{"version":2,"natAddresses":{}}'],
    ['no addresses', '{"version":1}'],
    ['an address that is none', '{"version":1,"natAddresses":{"blue":"nowhere"}}'],
    ['an address of the other family', '{"version":1,"natAddresses":{"blue":"2001:db8::1"}}'],
  ])('a file with %s is said, and nothing is remembered', (_, text) => {
    const file = join(folder, 'broken.json');
    writeFileSync(file, text);
    const state = new StateFile(file);
    expect(state.natAddresses.size).toBe(0);
    expect(state.problem).toBe(`${file} is no state of a gateway: external addresses are handed out anew`);
    expect(readFileSync(file, 'utf8')).toBe(text);
  });

  it('what cannot be written is said', () => {
    const file = join(folder, 'broken.json', 'below-a-file.json');
    expect(new StateFile(file).write(new Map())).toContain('is not written');
  });
});
