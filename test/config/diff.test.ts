import { describe, expect, test } from 'vitest';
import { type Document, diffDocuments, formatChanges, readDocument, showDocument } from '../../src/config/index.ts';

const TEXT = `version: 1
gateway: { name: gw1, external: { addresses: [192.0.2.1] } }
tenants:
  - name: blue
    interfaces: [{ name: inside, addresses: [10.1.0.1/24] }]
    routes: [{ prefix: 10.8.0.0/16, via: inside }, { prefix: 10.9.0.0/16, via: 10.1.0.2 }]
    connections:
      - name: hq
        remote: { address: 198.51.100.1 }
        auth: { psk: { file: hq.psk } }
        ike: { proposals: [aes256gcm16-prfsha384-ecp384, aes256-sha256-modp2048] }
        child: { local: ["10.1.0.0/24[tcp/80]"], remote: [10.2.0.0/24], lifetimeBytes: 100GB }
  - name: red
    rdid: 5b1f7f2e-6a5e-4c62-9c58-1f5f2f0d9a11
`;
const read = (text: string): Document => {
  const { document, issues } = readDocument(text, 'g.yaml');
  expect(issues.filter(({ severity }) => severity === 'error')).toEqual([]);
  return document!;
};
/** What `config diff` says after `find` became `replacement`. */
const changed = (find: string, replacement: string): string[] => {
  expect(TEXT).toContain(find);
  return formatChanges(diffDocuments(read(TEXT), read(TEXT.replace(find, replacement))));
};

test('nothing', () => expect(diffDocuments(read(TEXT), read(TEXT))).toEqual([]));

describe('one thing', () => {
  test.each([
    ['hq.psk', 'other.psk', ['~ connection blue/hq: auth.psk.file hq.psk → other.psk']],
    [
      '{ file: hq.psk }',
      '{ env: HQ }',
      ['~ connection blue/hq: auth.psk.file removed hq.psk', '~ connection blue/hq: auth.psk.env added HQ'],
    ],
    [', aes256-sha256-modp2048', '', ['~ connection blue/hq: ike.proposals[1] removed aes256-sha256-modp2048']],
    ['100GB', 'unlimited', ['~ connection blue/hq: child.lifetimeBytes 100000000000 → unlimited']],
    ['[tcp/80]', '[tcp/80-81]', ['~ connection blue/hq: child.local[0] 10.1.0.0/24[tcp/80] → 10.1.0.0/24[tcp/80-81]']],
    ['10.1.0.2 }', '10.1.0.3 }', ['~ routes blue: 10.9.0.0/16 10.1.0.2 → 10.1.0.3']],
    ['{ prefix: 10.8.0.0/16, via: inside }, ', '', ['~ routes blue: 10.8.0.0/16 removed inside']],
    ['10.1.0.1/24] }', '10.1.0.1/24], mtu: 1400 }', ['~ interface blue/inside: mtu 1500 → 1400']],
    [
      '    rdid: 5b1f7f2e-6a5e-4c62-9c58-1f5f2f0d9a11\n',
      '',
      ['~ tenant red: rdid removed 5b1f7f2e-6a5e-4c62-9c58-1f5f2f0d9a11'],
    ],
    ['name: gw1', 'name: gw2', ['~ gateway: name gw1 → gw2 (needs a restart)']],
    [
      'tenants:',
      'api: { listen: none }\ntenants:',
      ['~ api: listen unix:/run/bulkhead/control.sock → none (needs a restart)'],
    ],
    ['name: hq', 'name: main', ['- connection blue/hq', '+ connection blue/main']],
    ['name: red', 'name: green', ['- tenant red', '+ tenant green']],
  ])('%s becomes %s', (find, replacement, lines) => expect(changed(find, replacement)).toEqual(lines));
});

test('the order of tenants and routes says nothing', () => {
  const routes = '{ prefix: 10.8.0.0/16, via: inside }, { prefix: 10.9.0.0/16, via: 10.1.0.2 }';
  expect(
    changed(
      routes,
      routes
        .split(/(?<=\}), /)
        .reverse()
        .join(', '),
    ),
  ).toEqual([]);
  const [head, tail] = TEXT.split('  - name: red');
  const reordered = head!.replace('tenants:\n', `tenants:\n  - name: red${tail}`);
  expect(diffDocuments(read(TEXT), read(reordered))).toEqual([]);
});

test('an inline secret that changed is told without showing it', () => {
  const [before, after] = ['correct horse battery', 'staple staple staple'].map((secret) =>
    read(TEXT.replace('{ file: hq.psk }', `{ inline: ${secret} }`)),
  );
  const changes = diffDocuments(before!, after!);
  expect(formatChanges(changes)).toEqual(['~ connection blue/hq: auth.psk <secret> → <secret>']);
  expect(diffDocuments(before!, before!)).toEqual([]);
  // What `show` wrote of a running gateway says nothing of its inline secrets.
  expect(diffDocuments(read(showDocument(before!)), before!)).toEqual([]);
});

describe('show', () => {
  test('reads back as the same document', () => {
    const document = read(TEXT);
    expect(read(showDocument(document))).toEqual(document);
    expect(showDocument(read(showDocument(document)))).toBe(showDocument(document));
  });

  test('never shows a secret', () => {
    const text = showDocument(read(TEXT.replace('{ file: hq.psk }', '{ inline: correct horse battery }')));
    expect(text).not.toContain('horse');
    expect(text).toContain('inline: <secret>');
  });
});
