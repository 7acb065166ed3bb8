import { describe, expect, it } from 'vitest';
import { IPV4_UNICAST } from '../../../src/bgp/message/types.ts';
import type { PeerOptions } from '../../../src/bgp/rib/peer.ts';
import { Rib } from '../../../src/bgp/rib/rib.ts';
import { EMPTY } from '../../../src/core/index.ts';
import { parsePrefix } from '../../../src/ip/index.ts';
import { Receiver } from './receiver.ts';
import { context, peerOptions, update, usual } from './speakers.ts';

const rib = () => new Rib({ localAs: 65_000, routerId: 1 });
const told = (options: Partial<PeerOptions>) => ({ defaultOriginate: true, ...options });

function read(from: Rib, peer: number, into = new Receiver()): Receiver {
  from.flush();
  while (from.hasOutput(peer)) for (const octets of from.take(peer, 4096)) into.read(octets);
  expect(into.faults).toEqual([]);
  return into;
}

describe('a default route that a peer is told always', () => {
  it('goes to that peer alone, whatever policy says, in each family of the session', () => {
    const from = rib();
    const { export: _none, ...without } = peerOptions(1, told({}));
    const a = from.add(without);
    const b = from.add(peerOptions(2));
    // Both are `0/` to a receiver that does not tell families apart: the last one is that of IPv6.
    const receiver = read(from, a);
    expect([...receiver.routes.values()]).toEqual(['1=00 2=02010000fde8 hop=20010db8000000000000000000000001']);
    expect([receiver.messages, receiver.ends]).toEqual([4, 2]);
    expect(read(from, b).routes.size).toBe(0);
  });

  it('RFC 4271 §5.1.3, §5.1.5: to an internal peer with LOCAL_PREF and our own next hop', () => {
    const from = rib();
    const families = { send: context(false, { families: [IPV4_UNICAST] }) };
    const a = from.add(peerOptions(1, told({ kind: 'internal', ...families })));
    expect([...read(from, a).routes]).toEqual([['0/', '1=00 2= 3=c0000201 5=00000064']]);
  });

  it('takes the place of one that others say, and leaves it to it when it is taken away', () => {
    const from = rib();
    const families = { send: context(true, { families: [IPV4_UNICAST] }) };
    const a = from.add(peerOptions(1));
    const b = from.add(peerOptions(2, told(families)));
    from.receive(a, update(EMPTY, usual([65_001], [10, 9, 9, 9]), Uint8Array.of(0)), 0);
    const receiver = read(from, b);
    expect(receiver.routes.get('0/')).toBe('1=00 2=02010000fde8 3=c0000201');
    from.configure(b, { defaultOriginate: false });
    expect(read(from, b, receiver).routes.get('0/')).toBe('1=00 2=02020000fde80000fde9 3=c0000201');
    from.configure(b, { defaultOriginate: true });
    from.receive(a, update(Uint8Array.of(0), EMPTY, EMPTY), 0);
    expect(read(from, b, receiver).routes.get('0/')).toBe('1=00 2=02010000fde8 3=c0000201');
    from.configure(b, { defaultOriginate: false });
    expect(read(from, b, receiver).routes.size).toBe(0);
  });

  it('RFC 7911: beside those of others, under an identifier of its own', () => {
    const from = rib();
    const send = context(true, { families: [IPV4_UNICAST], addPath: [IPV4_UNICAST] });
    const a = from.add(peerOptions(1));
    const b = from.add(peerOptions(2, told({ send })));
    from.receive(a, update(EMPTY, usual([65_001], [10, 9, 9, 9]), Uint8Array.of(0)), 0);
    const receiver = read(from, b, new Receiver(true));
    expect([...receiver.routes.values()].sort()).toEqual([
      '1=00 2=02010000fde8 3=c0000201',
      '1=00 2=02020000fde80000fde9 3=c0000201',
    ]);
  });

  it('is chosen by nobody, forwards nothing, and says what it is', () => {
    const from = rib();
    read(from, from.add(peerOptions(1, told({}))));
    expect(from.takeRoutes(9)).toEqual([]);
    expect(from.explain(parsePrefix('0.0.0.0/0')!).map(({ best, why }) => [best, why])).toEqual([
      [false, 'for peers that are told a default route whatever routes there are'],
    ]);
  });
});
