/** The engine a gateway is given: it protects ESP, is named in the status, and is told of the end of each SA. */
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/core/index.ts';
import { chooseEngine, defaultEngine, type Engine, oneByOne } from '../../src/crypto/index.ts';
import { Gateway } from '../../src/gateway/index.ts';
import { parseAddress } from '../../src/ip/index.ts';
import { GatewayNode, Host, OuterNetwork, resolveDocument, Timeline } from '../../src/lab/index.ts';
import { engineCandidates } from '../../src/runtime/engines/index.ts';

const document = (near: number, far: number, proposal: string): string => `version: 1
gateway: { external: { addresses: [203.0.113.${near}] } }
tenants:
  - name: contoso
    interfaces: [{ name: inside, driver: fabric, addresses: [10.${near}.0.1/24] }]
    connections:
      - name: c
        remote: { address: 203.0.113.${far} }
        auth: { psk: { inline: a secret of more than sixteen octets } }
        child: { local: [10.${near}.0.0/24], remote: [10.${far}.0.0/24], proposals: [${proposal}] }
`;

/** Two gateways, each with its engine, and a host behind each. */
function world(engines: readonly [Engine, Engine], proposal: string) {
  const timeline = new Timeline();
  const random = seededRandom(3);
  const outer = new OuterNetwork(timeline, random);
  const nodes = engines.map((engine, i) => {
    const node = new GatewayNode({ timeline, outer, random });
    node.gateway = new Gateway({ random, pool: node.pool, engine });
    node.apply(resolveDocument(document(i + 1, 2 - i, proposal)));
    return node;
  }) as [GatewayNode, GatewayNode];
  const [a] = nodes.map((node, i) => {
    const addresses = [parseAddress(`10.${i + 1}.0.10`)!];
    const segment = node.segment('contoso', 'inside');
    return new Host({ timeline, segment, tenant: 'contoso', name: `host${i + 1}`, addresses });
  }) as [Host, Host];
  timeline.runToIdle(100);
  const ping = (size: number): string => {
    const query = a.ping(parseAddress('10.2.0.10')!, { size, timeoutMs: 10_000 });
    timeline.runUntil(() => query.outcome !== 'waiting', 20_000);
    return query.outcome;
  };
  return { timeline, nodes, ping };
}

/** Counts the protections made and ended; one used after its end throws in the native engines. */
function counting(engine: Engine) {
  const counted = { made: 0, ended: 0, sealed: 0 };
  const wrapped: Engine = {
    name: `counted ${engine.name}`,
    supports: engine.supports,
    protection(encryption, integrity, keys) {
      const inner = engine.protection(encryption, integrity, keys);
      counted.made += 1;
      const { ivLength, ivKind, blockSize, icvLength } = inner;
      return oneByOne({
        ivLength,
        ivKind,
        blockSize,
        icvLength,
        seal(buf, from, iv, end, high) {
          counted.sealed += 1;
          inner.seal(buf, from, iv, end, high);
        },
        open: (buf, from, iv, end, high) => inner.open(buf, from, iv, end, high),
        dispose() {
          counted.ended += 1;
          inner.dispose?.();
        },
      });
    },
  };
  return { engine: wrapped, counted };
}

describe('the engine of a gateway', () => {
  const { engine: best } = chooseEngine(engineCandidates());

  it.each(['aes128gcm16', 'aes256-sha256', 'aes128ccm12', 'chacha20poly1305'])(
    '%s: the fastest engine at one end, the slow ones at the other',
    (proposal) => {
      const { timeline, nodes, ping } = world([best, defaultEngine], proposal);
      for (const size of [0, 56, 1200]) expect(ping(size)).toBe('reply');
      expect(nodes.map(({ gateway }) => gateway.status(timeline.now).engine)).toEqual([best.name, 'node, noble']);
    },
  );

  it('makes what packets need, and hears of the end of every SA in both directions: after a rekey, and with the connection', () => {
    const { engine, counted } = counting(best);
    const { timeline, nodes, ping } = world([engine, defaultEngine], 'aes256gcm16');
    expect(ping(56)).toBe('reply');
    expect(counted).toEqual({ made: 2, ended: 0, sealed: 1 });
    nodes[0].dispatch({ type: 'rekey', tenant: 'contoso', connection: 'c', what: 'child' });
    timeline.runUntil(() => counted.ended === 2, 60_000);
    expect(counted).toEqual({ made: 2, ended: 2, sealed: 1 });
    expect(ping(56)).toBe('reply');
    expect(counted).toEqual({ made: 4, ended: 2, sealed: 2 });
    nodes[0].dispatch({ type: 'down', tenant: 'contoso', connection: 'c', what: 'ike' });
    timeline.runUntil(() => counted.ended === 4, 60_000);
    expect(counted).toEqual({ made: 4, ended: 4, sealed: 2 });
  });
});
