import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/core/index.ts';
import { Lab, type LabOptions, runScenario } from '../../src/lab/index.ts';

const run = (seed: number, options: Partial<LabOptions> = {}) => {
  const lab = new Lab({ random: seededRandom(seed), ...options });
  return { lab, result: runScenario(lab) };
};

describe('the scenario of the lab', () => {
  it('clean network, seed 1: exactly this', () => {
    const { lab, result } = run(1);
    expect(result.problems).toEqual([]);
    expect(result.exchanges.map((e) => [e.what, e.tenant, e.from, e.sent, e.answered, e.meanMs])).toEqual([
      ['first packet', 'contoso', '10.1.0.10', 1, 1, 30],
      ['first packet', 'woodgrove', '10.1.0.10', 1, 1, 30],
      ...['ping', 'UDP'].flatMap((what) => [
        [what, 'contoso', '10.1.0.10', 5, 5, 10],
        [what, 'woodgrove', '10.1.0.10', 5, 5, 10],
        [what, 'contoso', '10.2.0.10', 5, 5, 10],
        [what, 'woodgrove', '10.2.0.10', 5, 5, 10],
      ]),
      ['large ping', 'contoso', '10.1.0.10', 2, 2, 10],
      ['large ping', 'woodgrove', '10.1.0.10', 2, 2, 10],
      ['large ping', 'contoso', '10.2.0.10', 2, 2, 10],
      ['large ping', 'woodgrove', '10.2.0.10', 2, 2, 10],
      ['ping during rekeys', 'contoso', '10.1.0.10', 50, 50, 10],
      ['ping during rekeys', 'woodgrove', '10.1.0.10', 50, 50, 10],
    ]);
    expect(result.mtu).toEqual([
      { tenant: 'contoso', told: 1446, fits: true },
      { tenant: 'woodgrove', told: 1438, fits: true },
    ]);
    expect(result.isolation.map(({ tenant, own, foreign }) => [tenant, own, foreign])).toEqual([
      ['contoso', 152, 0],
      ['woodgrove', 158, 0],
    ]);
    expect(result.stranger).toEqual({
      address: '10.2.0.20',
      owner: 'woodgrove',
      ownerAnswered: 3,
      stranger: 'contoso',
      strangerAnswered: 0,
      asked: 3,
    });
    expect(result.rekeys).toEqual([
      { tenant: 'contoso', child: true, ike: true },
      { tenant: 'woodgrove', child: true, ike: true },
    ]);
    expect(result.tunnels.map(({ tenant, state, ikeSas }) => [tenant, state, ikeSas.at(-1)!.suite])).toEqual([
      ['contoso', 'up', 'aes256gcm16-prfsha384-ecp384'],
      ['woodgrove', 'up', 'chacha20poly1305-prfsha256-curve25519'],
    ]);
    expect(lab.shutdown()).toBe(true);
    expect([lab.gw.pool.taken, lab.sites.pool.taken]).toEqual([0, 0]);
  });

  it('the same seed gives the same result', () => {
    const bad = { conditions: { loss: 0.1, jitter: 10, reorder: 0.05 } };
    expect(run(5, bad).result).toEqual(run(5, bad).result);
  });

  it('losses on the way are not held against it', () => {
    for (let seed = 1; seed <= 8; seed++) {
      const { lab, result } = run(seed, { conditions: { loss: 0.15, delay: 20, jitter: 10, duplicate: 0.05 } });
      expect(result.problems).toEqual([]);
      expect(result.isolation.every(({ foreign }) => foreign === 0)).toBe(true);
      expect(lab.shutdown()).toBe(true);
    }
  });

  it('a tunnel that cannot come up is named, with the reason and what to do', () => {
    const { result } = run(1, { wrongSecret: 'woodgrove' });
    expect(result.problems[0]).toMatch(/^woodgrove\/site is down: .*; .+/);
    expect(result.problems).toContain('first packet of woodgrove from 10.1.0.10 to 10.2.0.10: 0 of 1 answered');
    expect(result.problems).toContain('woodgrove: the Child SA was not rekeyed');
    expect(result.problems.filter((problem) => problem.startsWith('contoso'))).toEqual([]);
  });

  it('a network that carries nothing: everything is named', () => {
    const { result } = run(1, { conditions: { loss: 1 } });
    expect(result.problems.filter((problem) => / is connecting: /.test(problem)).length).toBe(2);
  });
});
