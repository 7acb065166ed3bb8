import { describe, expect, it } from 'vitest';
import { Secret } from '../../src/core/index.ts';
import type { IkeConnection } from '../../src/ike/index.ts';
import { parseAddress } from '../../src/ip/index.ts';
import { act, cut, none, one, PACKET, packet, SIDES, up } from '../support/ike-checks.ts';
import { connection, disagreements, IkePair, type Side, selectors } from '../support/ike-pair.ts';
import { talk } from '../support/ike-wire.ts';

describe('operators', () => {
  it('`down` of the IKE SA: DELETE, no SA left; a demand connection comes back with the next packet', () => {
    const w = up();
    const from = w.sent.length;
    act(w, 'a', 'terminate', 'ike').runFor(100);
    expect(talk(w, from)).toEqual(['a> INFORMATIONAL 2: DELETE', '<b INFORMATIONAL 2:']);
    none(w);
    packet(w).runFor(1000);
    one(w);
  });

  it('`down` of the Child SAs leaves the IKE SA; the next packet makes one without a new IKE_SA_INIT', () => {
    const w = up();
    act(w, 'a', 'terminate', 'child').runFor(100);
    expect([w.a.ike.sas.size, w.a.esp.size, w.b.esp.size]).toEqual([1, 0, 0]);
    const from = w.sent.length;
    packet(w).runFor(100);
    expect(talk(w, from)[0]).toBe('a> CREATE_CHILD_SA 3: SA NONCE TSI TSR');
    one(w);
  });

  it('`down` of a boot connection stays until `up`, whatever packets come', () => {
    for (const what of ['ike', 'child'] as const) {
      const w = up({ start: 'boot' });
      act(w, 'a', 'terminate', what).runFor(300_000);
      packet(w);
      expect([w.a.esp.size, w.a.unreachable.at(-1)]).toEqual([0, 'policy']);
      w.runFor(300_000);
      expect(w.a.esp.size).toBe(0);
      w.acquire().runFor(1000);
      one(w);
    }
  });

  it('`down` while the connection is being made', () => {
    for (const what of ['ike', 'child'] as const) {
      for (const at of [1, 7, 12, 17]) {
        const w = new IkePair(1).configure({ giveUpSeconds: 10 }, { giveUpSeconds: 10 }).acquire().run(at);
        act(w, 'a', 'terminate', what).runFor(100_000);
        none(w);
      }
    }
  });

  it('`up` of a listener is refused, in words', () => {
    const w = up();
    act(w, 'b', 'terminate', 'ike').runFor(100).acquire('b');
    expect(w.b.unreachable).toEqual(['policy']);
    w.do('b', { type: 'acquire', connection: 'nobody', packet: undefined });
    none(w);
  });

  it('asking for what is under way or there changes nothing', () => {
    const w = new IkePair(1).configure();
    w.acquire().acquire().runFor(7);
    packet(w.acquire()).runFor(1000);
    const from = w.sent.length;
    packet(w.acquire()).runFor(1000);
    expect(w.sent).toHaveLength(from);
    for (const what of ['ike', 'child'] as const) {
      const before = w.sent.length;
      act(act(w, 'a', 'rekey', what), 'a', 'rekey', what).runFor(10_000);
      expect(w.sent.length - before).toBe(4);
    }
    one(w);
  });

  it('a packet while the IKE SA is being rekeyed is taken along', () => {
    const w = up();
    act(w, 'a', 'terminate', 'child').runFor(100);
    act(w, 'a', 'rekey', 'ike');
    packet(w).runFor(1000);
    one(w);
  });

  it('a packet beyond what the peer narrowed to asks for a further Child SA', () => {
    const wide = { ...connection('a').child, local: selectors('10.1.0.0/16'), remote: selectors('10.2.0.0/16') };
    const w = up({ child: wide });
    const from = w.sent.length;
    packet(w).runFor(100);
    expect(w.sent).toHaveLength(from);
    w.do('a', { type: 'acquire', connection: 'lab/net', packet: { ...PACKET, source: parseAddress('10.1.9.9')! } });
    w.runFor(100);
    expect(talk(w, from)[0]).toContain('a> CREATE_CHILD_SA');
    expect(w.a.ike.sas.size).toBe(1);
  });
});

describe('configure', () => {
  const reload = (w: IkePair, side: Side, ...connections: IkeConnection[]) => {
    w.do(side, { type: 'configure', connections });
    return w;
  };

  it('what says the same is untouched, also as another object', () => {
    const w = up({ start: 'boot' });
    const from = w.sent.length;
    reload(w, 'a', connection('a', { start: 'boot', psk: Secret.fromText('a pre-shared key for the lab') })).runFor(
      1000,
    );
    expect(w.sent).toHaveLength(from);
    one(w);
  });

  it.each([
    ['lifetime', { ikeLifetimeSeconds: 100 }],
    ['key', { psk: Secret.fromText('another') }],
    ['selectors', { child: { ...connection('a').child, local: selectors('10.1.0.0/25') } }],
  ] as const)('a changed %s: deleted; a boot connection begins anew at once', (_, change) => {
    const w = up({ start: 'boot' });
    const [old] = w.a.ike.sas;
    reload(w, 'a', connection('a', { start: 'boot', ...change })).runFor(1000);
    expect([old!.phase, w.a.ike.connections.get('lab/net')!.sas.has(old!)]).toEqual(['closed', false]);
    if ('psk' in change) none(w);
    else one(w);
  });

  it('a changed demand connection is deleted and waits for a packet', () => {
    const w = up();
    reload(w, 'a', connection('a', { dpdSeconds: 5 })).runFor(1000);
    none(w);
    packet(w).runFor(1000);
    one(w);
  });

  it('a removed one is deleted, others stay', () => {
    const w = new IkePair(1);
    const other = (side: Side) =>
      connection(side, {
        name: 'lab/other',
        child: {
          ...connection(side).child,
          local: selectors(side === 'a' ? '10.3.0.0/24' : '10.4.0.0/24'),
          remote: selectors(side === 'a' ? '10.4.0.0/24' : '10.3.0.0/24'),
        },
        localAddress: parseAddress(side === 'a' ? '192.0.2.2' : '198.51.100.2')!,
        remoteAddress: parseAddress(side === 'a' ? '198.51.100.2' : '192.0.2.2')!,
      });
    reload(reload(w, 'a', connection('a'), other('a')), 'b', connection('b'), other('b'));
    for (const name of ['lab/net', 'lab/other']) w.do('a', { type: 'acquire', connection: name, packet: undefined });
    w.runFor(1000);
    expect([w.a.esp.size, w.b.esp.size]).toEqual([2, 2]);
    reload(w, 'a', other('a')).runFor(1000);
    expect(disagreements(w)).toEqual([]);
    expect([...w.a.esp.values()].map((e) => e.child.connection)).toEqual(['lab/other']);
    expect([...w.b.esp.values()].map((e) => e.child.connection)).toEqual(['lab/other']);
    expect([...w.a.ike.connections.keys()]).toEqual(['lab/other']);
  });

  it('in the middle of IKE_AUTH: the late answer finds nobody, the peer finds out', () => {
    const w = new IkePair(1).configure({ dpdSeconds: 5 }, { dpdSeconds: 5, giveUpSeconds: 10 }).acquire().run(14);
    reload(w, 'a').run(60_000);
    none(w);
  });
});

describe('shutdown', () => {
  it('DELETEs what is up and is done when it is answered; nothing is left to wake up for', () => {
    const w = up();
    const from = w.sent.length;
    w.do('a', { type: 'shutdown' });
    w.runFor(20);
    expect(talk(w, from)).toEqual(['a> INFORMATIONAL 2: DELETE', '<b INFORMATIONAL 2:']);
    expect([w.a.done, w.a.ike.deadline()]).toEqual([true, undefined]);
    none(w);
  });

  it('is done within 3 s when nobody answers', () => {
    const w = cut(up({ start: 'boot' }));
    w.do('a', { type: 'shutdown' });
    w.runFor(2_990);
    expect(w.a.done).toBe(false);
    w.runFor(20);
    expect([w.a.done, w.a.ike.sas.size, w.a.esp.size, w.a.ike.spis.size, w.a.ike.deadline()]).toEqual([
      true,
      0,
      0,
      0,
      undefined,
    ]);
  });

  it('is done at once where nothing is up, and removes what still drains', () => {
    const idle = new IkePair(1).configure();
    idle.do('a', { type: 'shutdown' });
    expect([idle.a.done, idle.a.ike.deadline()]).toEqual([true, undefined]);

    const w = up();
    act(w, 'a', 'rekey', 'child').runFor(100);
    expect(w.a.esp.size).toBe(2);
    for (const side of SIDES) w.do(side, { type: 'shutdown' });
    w.runFor(100);
    none(w);
    expect(SIDES.map((side) => [w[side].done, w[side].ike.deadline()])).toEqual([
      [true, undefined],
      [true, undefined],
    ]);
  });

  it('half-open SAs end with it, and nothing new is begun or answered', () => {
    const w = new IkePair(1).configure().acquire().run(7);
    expect(w.b.ike.halfOpen).toBe(1);
    w.do('b', { type: 'shutdown' });
    expect([w.b.done, w.b.ike.halfOpen]).toEqual([true, 0]);
    w.run(30_000);
    expect([w.b.ike.sas.size, w.b.ike.deadline()]).toEqual([0, undefined]);
    expect(w.sent.filter((s) => s.from === 'b')).toHaveLength(1);
  });

  it('while the DELETE is under way no IKE_SA_INIT is taken, nor a packet or a document', () => {
    const w = up({}, { start: 'boot' });
    const [first] = w.sent;
    cut(w).do('a', { type: 'shutdown' });
    const from = w.sent.length;
    const octets = first!.octets.slice();
    octets[0]! ^= 1;
    w.do('a', { type: 'datagram', local: first!.local, remote: first!.remote, octets });
    packet(w).do('a', { type: 'configure', connections: [connection('a', { start: 'boot', dpdSeconds: 1 })] });
    expect([w.sent.length, w.a.ike.sas.size, w.a.ike.counters.get('shutdown')]).toEqual([from, 1, 1]);
  });
});
