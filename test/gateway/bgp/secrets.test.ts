import { describe, expect, test } from 'vitest';
import { BgpWorld, NAMES } from './world.ts';

const md5 = (secret: string): string => `md5: { inline: ${secret} }`;

describe('RFC 2385: a peer with a secret', () => {
  test('both ends have the same one: the session is established', () => {
    const world = new BgpWorld({ gwPeer: md5('the-same-at-both-ends'), sitePeer: md5('the-same-at-both-ends') });
    world.run(10_000);
    for (const name of NAMES) expect(world.reports()).toContain(`BGP peer ${name}/hq: established: with AS 65020`);
  });

  test.each([
    ['another one', md5('another-one-is-there')],
    ['none', ''],
  ])('the site has %s: no session, no route', (_, sitePeer) => {
    const world = new BgpWorld({ gwPeer: md5('the-same-at-both-ends'), sitePeer });
    world.run(10_000);
    expect(world.reports().filter((words) => words.includes('established'))).toEqual([]);
    for (const name of NAMES) expect(world.routes(name)).toEqual([]);
  });
});
