/** Questions to a data plane in another thread: the state is there, names and numbers are control's. */
import { describe, expect, it, vi } from 'vitest';
import { ANSWER_MS, Questions } from '../../src/api/questions.ts';
import { seededRandom } from '../../src/core/index.ts';
import { defaultEngine } from '../../src/crypto/index.ts';
import {
  DataPlane,
  Gateway,
  type GatewayAction,
  type GatewayEvent,
  SharedCells,
  slotOf,
} from '../../src/gateway/index.ts';
import { PacketPool, parseMac } from '../../src/ip/index.ts';
import { resolveDocument } from '../../src/lab/index.ts';
import { addr } from '../support/packets.ts';
import { document, ethernetFrame, HOST_PA, NAMES, NAT, nvgre, udp, VM, VM_MAC } from './virtual-world.ts';

/** Control with a likeness, and the data plane that it stands for. */
function remote() {
  const cells = new SharedCells();
  const random = seededRandom(3);
  const pool = new PacketPool(64);
  const gateway = new Gateway({ random, pool: new PacketPool(64), remote: { cells, planes: 1 } });
  const output = {
    datagram: (_u: unknown, _l: unknown, _r: unknown, packet: never) => pool.release(packet),
    underlay: (_l: unknown, _r: unknown, packet: never) => pool.release(packet),
    packet: (_port: number, packet: never) => pool.release(packet),
  };
  const make = () => new DataPlane({ pool, random, engine: defaultEngine, cells, slot: slotOf(0), output });
  const world = { plane: make(), actions: [] as GatewayAction[], make };
  const dispatch = (event: GatewayEvent, now = 1000): void => {
    for (const action of gateway.handle(event, now)) {
      world.actions.push(action);
      if (action.do === 'plane') world.plane.command(action.command, now);
    }
    carry(now);
  };
  const carry = (now: number): void => {
    world.plane.flush(now);
    for (const event of world.plane.takeEvents()) dispatch({ type: 'plane', event }, now);
  };
  dispatch({ type: 'apply', resolved: resolveDocument(document()) });
  const fromVm = (name: (typeof NAMES)[number], octets: Uint8Array, now = 1000): void => {
    const mac = gateway
      .tenants()
      .find((tenant) => tenant.name === name)!
      .interfaces.find((i) => i.kind === 'ethernet')!.mac!;
    const frame = ethernetFrame(parseMac(mac)!, parseMac(VM_MAC)!, octets);
    world.plane.underlay(addr(HOST_PA), pool.from(nvgre(name, frame))!, now);
    carry(now);
  };
  const answers = () => world.actions.filter(({ do: what }) => what !== 'plane' && what !== 'report');
  return { ...world, world, gateway, dispatch, fromVm, answers };
}

const flow = { source: addr(VM), destination: addr('192.0.2.80'), protocol: 17, sourcePort: 5000, destinationPort: 53 };
const order = { from: VM, flow, size: 100, hopLimit: 64, dontFragment: true, opens: true };

describe('a question to a data plane in another thread', () => {
  it('is answered there, by the state that only it has; control adds the names', () => {
    const { world, dispatch, fromVm, gateway } = remote();
    fromVm('contoso', udp(VM, 5000, '192.0.2.80', 53));
    const ask = (event: GatewayEvent): GatewayAction[] => {
      world.actions.splice(0);
      dispatch(event);
      return world.actions.filter((action) => action.do !== 'plane');
    };
    expect(ask({ type: 'ask-nat', tenant: 'contoso', query: 1, filter: {}, most: 5 })).toMatchObject([
      { do: 'nat-sessions', query: 1, sessions: [{ inner: `${VM}:5000`, external: `${NAT.contoso}:5000` }] },
    ]);
    expect(ask({ type: 'ask-nat', tenant: 'woodgrove', query: 2, filter: {}, most: 5 })).toMatchObject([
      { do: 'nat-sessions', query: 2, sessions: [] },
    ]);
    expect(ask({ type: 'ask-neighbours', tenant: 'default', query: 3 })).toMatchObject([
      { do: 'neighbours', query: 3, neighbours: [{ interface: 'external', address: '203.0.113.1', waiting: 1 }] },
    ]);
    for (const [tenant, words] of [
      ['contoso', /^session udp/],
      ['woodgrove', /^external port 5000 is free/],
    ] as const) {
      const [answer] = ask({ type: 'trace', query: 4, order: { ...order, tenant } });
      const nat = answer?.do === 'traced' ? answer.stages.find(({ stage }) => stage === 'nat') : undefined;
      expect([tenant, nat?.why]).toEqual([tenant, expect.stringMatching(words)]);
    }
    // Shared cells tell control what was counted there.
    expect(gateway.nats().map(({ tenant, sessions }) => [tenant, sessions])).toEqual([
      ['contoso', 1],
      ['woodgrove', 0],
    ]);
    expect(ask({ type: 'flush-nat', tenant: 'contoso', query: 5, filter: {} })).toEqual([
      { do: 'nat-flushed', query: 5, sessions: 1 },
    ]);
  });

  it('a tap stands when the data plane is started anew, and ends once', () => {
    const { world, dispatch, fromVm } = remote();
    const packets = (): number => world.actions.filter((action) => action.do === 'tapped').length;
    dispatch({ type: 'tap', query: 1, tenant: 'contoso' });
    dispatch({ type: 'tap', query: 2, tenant: 'contoso' });
    for (const name of NAMES) fromVm(name, udp(VM, 5000, '10.1.0.1', 53));
    // The answers of the gateway itself are packets, too.
    const before = packets();
    expect(before).toBeGreaterThan(0);
    world.plane = world.make();
    dispatch({ type: 'plane-restarted', plane: 0, why: 'failed' });
    expect(world.plane.tapping).toBe(true);
    dispatch({ type: 'untap', query: 1 });
    expect(world.plane.tapping).toBe(true);
    dispatch({ type: 'untap', query: 2 });
    dispatch({ type: 'untap', query: 2 });
    expect(world.plane.tapping).toBe(false);
    for (const name of NAMES) fromVm(name, udp(VM, 5000, '10.1.0.1', 53));
    expect(packets()).toBe(before);
  });

  it('nobody waits for ever', async () => {
    vi.useFakeTimers();
    try {
      const questions = new Questions();
      const lost = expect(questions.ask(() => {})).rejects.toThrow('the data plane did not answer within 3 s');
      await vi.advanceTimersByTimeAsync(ANSWER_MS);
      await lost;
      let query = 0;
      const answered = questions.ask((number) => {
        query = number;
      });
      questions.answer(query + 1, 'of another one');
      questions.answer(query, 'mine');
      expect(await answered).toBe('mine');
      questions.answer(query, 'again');
      const many = Array.from({ length: 64 }, () => questions.ask(() => {}).catch(() => 'late'));
      await expect(questions.ask(() => {})).rejects.toThrow('64 questions wait');
      await vi.advanceTimersByTimeAsync(ANSWER_MS);
      expect(await Promise.all(many)).toEqual(many.map(() => 'late'));
    } finally {
      vi.useRealTimers();
    }
  });
});
