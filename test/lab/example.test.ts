import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { seededRandom } from '../../src/core/index.ts';
import { parseAddress } from '../../src/ip/index.ts';
import { Lab, type Query } from '../../src/lab/index.ts';

it('the example at the head of the library ends in a reply after a loss, as it says', () => {
  const source = readFileSync(new URL('../../src/lab/index.ts', import.meta.url), 'utf8');
  const code = /```ts\n([\s\S]*?)```/
    .exec(source)![1]!
    .replace(/^ \* ?/gm, '')
    .replaceAll(')!', ')');
  const run = new Function('Lab', 'seededRandom', 'parseAddress', `${code}\nreturn { lab, ping };`);
  const { lab, ping } = run(Lab, seededRandom, parseAddress) as { lab: Lab; ping: Query };
  expect(ping.outcome).toBe('reply');
  expect(lab.outer.counters.lost).toBeGreaterThan(0);
});
