import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { fetchSecrets, readFile, secretIssues } from '../../src/cli/loading.ts';
import { run } from './world.ts';

const folder = mkdtempSync(join(tmpdir(), 'bulkhead-secrets-'));
afterAll(() => rmSync(folder, { recursive: true }));

const document = (peers: string): string => `version: 1
gateway: { name: gw1, external: { addresses: [203.0.113.10] } }
tenants:
${['fabrikam', 'contoso']
  .map(
    (name) => `  - name: ${name}
    interfaces: [{ name: inside, driver: tun, device: bh-${name.slice(0, 4)}, addresses: [10.9.0.1/24] }]
    connections:
      - name: hq
        local: { address: 203.0.113.10 }
        remote: { address: 198.51.100.${name.length} }
        auth: { psk: { file: ${name}.psk } }
        child: { local: [10.9.0.0/24], remote: [10.2.0.0/24] }
    bgp:
      asn: 65010
      peers:
        - ${peers.replace('NAME', name)}
        - { name: plain, address: 10.9.0.3, asn: 65010 }
`,
  )
  .join('')}`;

const write = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text, { mode: 0o600 });
  return join(folder, name);
};
for (const name of ['fabrikam', 'contoso']) {
  write(`${name}.psk`, `the tunnel of ${name} is long enough\n`);
  write(`${name}.md5`, `the session of ${name}\n`);
}

describe('RFC 2385: secrets of BGP peers', () => {
  test('each is fetched under tenant/bgp/peer, beside those of connections', () => {
    const file = write('good.yaml', document('{ name: hq, address: 10.2.0.1, asn: 65010, md5: { file: NAME.md5 } }'));
    const { text, document: read } = readFile(file);
    const { secrets, problems } = fetchSecrets(read!, file, text);
    expect(problems).toEqual([]);
    expect([...secrets].map(([name, secret]) => [name, new TextDecoder().decode(secret.reveal())])).toEqual([
      ['fabrikam/hq', 'the tunnel of fabrikam is long enough'],
      ['fabrikam/bgp/hq', 'the session of fabrikam'],
      ['contoso/hq', 'the tunnel of contoso is long enough'],
      ['contoso/bgp/hq', 'the session of contoso'],
    ]);
    expect(secretIssues(read!, file, text, {})).toEqual([]);
  });

  test('one that cannot be fetched is an error at its entry: the gateway does not run', async () => {
    write('empty.md5', '\n');
    const file = write('bad.yaml', document('{ name: hq, address: 10.2.0.1, asn: 65010, md5: { file: empty.md5 } }'));
    const { text, document: read } = readFile(file);
    const { problems } = fetchSecrets(read!, file, text);
    const words = problems.map(({ line, path, message }) => `${line}: ${path}: ${message}`);
    expect(words).toEqual([
      '15: tenants[0].bgp.peers[0].md5: empty.md5: is empty',
      '28: tenants[1].bgp.peers[0].md5: empty.md5: is empty',
    ]);
    const ran = await run(`run ${file} --api none`);
    expect([ran.exit, ran.err.split('\n')[0]]).toEqual([5, `bulkhead: ${file}:15:59: ${words[0]!.slice(4)}`]);
    const checked = await run(`config check ${file}`);
    expect([checked.exit, checked.err.split('\n')[0]]).toEqual([5, `${file}:15:59: ${words[0]!.slice(4)}`]);
  });
});
