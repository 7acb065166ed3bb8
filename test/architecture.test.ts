import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/** A folder imports strictly lower ranks; folders of one rank never import each other. */
const RANK: Record<string, number> = {
  core: 0,
  crypto: 1,
  ip: 1,
  ike: 2,
  esp: 2,
  bgp: 2,
  nat: 2,
  nvgre: 2,
  compartment: 2,
  config: 3,
  capture: 3,
  gateway: 4,
  runtime: 5,
  lab: 5,
  api: 6,
  cli: 7,
};
const PURE = new Set([
  'core',
  'crypto',
  'ip',
  'ike',
  'esp',
  'bgp',
  'nat',
  'nvgre',
  'compartment',
  'config',
  'capture',
  'gateway',
]);
/** Who may import which package; packages not listed may not be imported at all. */
const PACKAGES: Record<string, readonly string[]> = {
  '@noble/ciphers': ['crypto'],
  '@noble/curves': ['crypto'],
  '@noble/hashes': ['crypto'],
  'ipaddr.js': ['ip'],
  zod: ['config'],
  yaml: ['config'],
  koffi: ['runtime'],
  pino: ['runtime'],
  hono: ['api'],
  commander: ['cli'],
};
/** Scripts of testers wait for things, so they are written with promises; their clock is an argument all the same. */
const SCRIPTS = ['bgp/script/'];
const MAX_LINES = 450;

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const src = join(root, 'src');
const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => ({ name, folder: name.split('/')[0]!, text: readFileSync(join(src, name), 'utf8') }));

const importsOf = (text: string): string[] =>
  [...text.matchAll(/(?:\bfrom |import\(|^import )\s*'([^'\s]+)'/gm)].map((match) => match[1]!);

/** The text without comments, so that prose may name what code may not use. */
const codeOf = (text: string): string => text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '');

describe('architecture', () => {
  it('knows every folder', () => {
    expect(files.map((f) => f.folder).filter((folder) => RANK[folder] === undefined)).toEqual([]);
  });

  it('imports strictly lower ranks', () => {
    const wrong = files.flatMap(({ name, folder, text }) =>
      importsOf(text)
        .filter((specifier) => specifier.startsWith('.'))
        .map((specifier) => relative(src, resolve(src, dirname(name), specifier)).split('/')[0]!)
        .filter((target) => target !== folder && !(RANK[target]! < RANK[folder]!))
        .map((target) => `${name} imports ${target}`),
    );
    expect(wrong).toEqual([]);
  });

  it('keeps node and packages in their places', () => {
    const wrong = files.flatMap(({ name, folder, text }) =>
      importsOf(text)
        .filter((specifier) => !specifier.startsWith('.'))
        .filter((specifier) => {
          if (specifier.startsWith('node:'))
            return PURE.has(folder) && !(folder === 'crypto' && specifier === 'node:crypto');
          const owner = Object.keys(PACKAGES).find((p) => specifier === p || specifier.startsWith(`${p}/`));
          return owner === undefined || !PACKAGES[owner]!.includes(folder);
        })
        .map((specifier) => `${name} imports ${specifier}`),
    );
    expect(wrong).toEqual([]);
  });

  it('touches no clock, chance, process or console below runtime/', () => {
    const forbidden =
      /\b(Date\b|Math\.random|setTimeout|setInterval|setImmediate|performance\.|process\.|console\.|queueMicrotask|Buffer\b)/;
    const wrong = files
      .filter(({ folder }) => PURE.has(folder))
      .flatMap(({ name, folder, text }) => {
        const found = forbidden.exec(codeOf(text))?.[1];
        return found === undefined || (found === 'Buffer' && folder === 'crypto') ? [] : [`${name} uses ${found}`];
      });
    expect(wrong).toEqual([]);
  });

  it('is synchronous below runtime/', () => {
    const wrong = files
      .filter(({ name }) => !SCRIPTS.some((folder) => name.startsWith(folder)))
      .filter(({ folder, text }) => PURE.has(folder) && /\b(async|await|Promise)\b/.test(codeOf(text)));
    expect(wrong.map((f) => f.name)).toEqual([]);
  });

  it('keeps files habitable', () => {
    const long = files.filter(({ text }) => text.split('\n').length > MAX_LINES).map(({ name }) => name);
    expect(long).toEqual([]);
  });

  it('names its files in kebab-case', () => {
    expect(files.map((f) => f.name).filter((name) => !/^[a-z0-9]+([-/][a-z0-9]+)*\.ts$/.test(name))).toEqual([]);
  });
});
