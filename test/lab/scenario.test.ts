import { describe, expect, it } from 'vitest';
import { type Bytes, seededRandom, toHex } from '../../src/core/index.ts';
import {
  type Hoster,
  hosterOf,
  runScenario,
  SCENARIO_NAMES,
  type ScenarioName,
  type ScenarioOptions,
  type ScenarioResult,
} from '../../src/lab/index.ts';

const run = (name: ScenarioName, seed = 1, options: Partial<ScenarioOptions> = {}) => {
  const lab = hosterOf(name, { random: seededRandom(seed), ...options });
  return { lab, result: runScenario(name, lab) };
};

/** Every node has ended and kept no packet. */
const ended = (lab: Hoster) => {
  const nodes = [lab.gw, lab.sites, ...lab.hosts.values()].flatMap((node) => node ?? []);
  return [lab.shutdown(), nodes.map(({ pool }) => pool.taken).filter((taken) => taken > 0)];
};

const short = ({ exchanges }: ScenarioResult) =>
  exchanges.map((e) => `${e.what} ${e.way} ${e.tenant} ${e.from} ${e.to}: ${e.answered}/${e.sent} ${e.meanMs}`);

const topics = ({ checks }: ScenarioResult) => checks.map(({ topic }) => topic);

describe('the scenarios of the lab', () => {
  it.each(SCENARIO_NAMES)('%s: clean network, seed 1: everything holds, and nothing is kept', (name) => {
    const { lab, result } = run(name);
    expect(result.problems).toEqual([]);
    expect(result.isolation.every(({ own, foreign }) => own > 20 && foreign === 0)).toBe(true);
    expect(result.stranger).toEqual({
      address: '10.1.0.20',
      owner: 'woodgrove',
      ownerAnswered: 3,
      stranger: 'contoso',
      strangerAnswered: 0,
      asked: 3,
    });
    expect(ended(lab)).toEqual([true, []]);
  });

  it('hybrid: exactly this', () => {
    const { result } = run('hybrid');
    expect(short(result)).toEqual([
      'virtual network bridged contoso 10.1.0.10 10.1.0.11: 5/5 1',
      'virtual network routed contoso 10.1.0.10 10.1.1.10: 5/5 1',
      'virtual network bridged woodgrove 10.1.0.10 10.1.0.11: 5/5 1',
      'virtual network routed woodgrove 10.1.0.10 10.1.1.10: 5/5 1',
      'first packet tunnel woodgrove 10.1.0.10 10.2.0.10: 1/1 31',
      ...['ping', 'UDP'].flatMap((what) => [
        `${what} tunnel woodgrove 10.1.0.10 10.2.0.10: 5/5 11`,
        `${what} tunnel woodgrove 10.2.0.10 10.1.0.10: 5/5 11`,
        `${what} NAT contoso 10.1.0.10 198.51.100.80: 5/5 11`,
        `${what} NAT woodgrove 10.1.0.10 198.51.100.80: 5/5 11`,
      ]),
      'large ping tunnel woodgrove 10.1.0.10 10.2.0.10: 2/2 11',
      'large ping tunnel woodgrove 10.2.0.10 10.1.0.10: 2/2 11',
      'large ping NAT contoso 10.1.0.10 198.51.100.80: 2/2 11',
      'large ping NAT woodgrove 10.1.0.10 198.51.100.80: 2/2 11',
      'both at once tunnel woodgrove 10.1.0.10 10.2.0.10: 5/5 11',
      'both at once NAT woodgrove 10.1.0.10 198.51.100.80: 5/5 11',
      'from outside NAT rule contoso 198.51.100.80 203.0.113.50: 5/5 11',
      'from outside hairpin contoso 10.1.1.10 203.0.113.50: 5/5 2',
      'from outside NAT rule woodgrove 198.51.100.80 203.0.113.60: 5/5 11',
      'from outside hairpin woodgrove 10.1.1.10 203.0.113.60: 5/5 2',
      'ping during rekeys tunnel woodgrove 10.1.0.10 10.2.0.10: 50/50 11',
    ]);
    expect(result.outside).toEqual([
      { tenant: 'contoso', external: '203.0.113.50', seenAs: ['203.0.113.50'] },
      { tenant: 'woodgrove', external: '203.0.113.60', seenAs: ['203.0.113.60'] },
    ]);
    expect(result.uninvited.map(({ tenant, sent, refused }) => [tenant, sent, refused])).toEqual([
      ['contoso', 5, 5],
      ['woodgrove', 5, 5],
    ]);
    expect(result.mtu).toEqual([{ tenant: 'woodgrove', told: 1438, fits: true }]);
    expect(result.rekeys).toEqual([{ tenant: 'woodgrove', child: true, ike: true }]);
  });

  it('vpn: two tunnels between the same prefixes, and nothing else leaves', () => {
    const { result } = run('vpn');
    expect(topics(result)).toEqual(['tunnels', 'traffic', 'large packets', 'rekeys', 'isolation', 'isolation']);
    expect(result.mtu).toEqual([
      { tenant: 'contoso', told: 1446, fits: true },
      { tenant: 'woodgrove', told: 1438, fits: true },
    ]);
    expect(result.rekeys.every(({ child, ike }) => child && ike)).toBe(true);
    expect(result.tunnels.map(({ tenant, state, ikeSas }) => [tenant, state, ikeSas.at(-1)!.suite])).toEqual([
      ['contoso', 'up', 'aes256gcm16-prfsha384-ecp384'],
      ['woodgrove', 'up', 'chacha20poly1305-prfsha256-curve25519'],
    ]);
  });

  it('direct: one tenant is seen as it is; were it both, the document names both lines', () => {
    const { result } = run('direct');
    expect(result.outside).toEqual([
      { tenant: 'contoso', external: null, seenAs: ['10.1.0.10'] },
      { tenant: 'woodgrove', external: '203.0.113.60', seenAs: ['203.0.113.60'] },
    ]);
    expect(result.overlap!.refused).toBe(true);
    expect(result.overlap!.why).toMatch(/^both-direct\.yaml:\d+:\d+: .* of contoso \(line \d+\) overlap/);
    expect(short(result)).toContain('from outside direct contoso 198.51.100.80 10.1.0.10: 5/5 11');
  });

  it('broken: each fault has its explanation, with lookups and drops where they happen', () => {
    const { result } = run('broken');
    const [proposal, secret, record] = result.explanations;
    expect(proposal!.answer).toContain('    encryption differs: ours aes128, theirs aes256gcm16');
    expect(secret!.answer).toContain("sites: the peer's AUTH payload does not verify: the pre-shared keys differ");
    expect(record!.answer).toEqual([
      'gw: pings for 10.1.0.11 go to 192.168.50.23: static record: 00:15:5d:00:00:11 is there',
      'host3: drops them: noRecord 3: no lookup record for the destination',
      'gw: drops what 10.1.0.11 sends from 192.168.50.22: spoofed 3: a source MAC or address that is not of its sender',
    ]);
    expect(record!.trace.at(-1)).toMatchObject({ stage: 'out', decision: '192.168.50.10 > 192.168.50.23' });
    expect(topics(result).filter((topic) => topic === 'explained').length).toBe(3);
  });

  it.each(SCENARIO_NAMES)('%s: the same seed gives the same octets at the same moments', (name) => {
    const transcript = (): string[] => {
      const lab = hosterOf(name, { random: seededRandom(7), conditions: { loss: 0.05, jitter: 3, reorder: 0.05 } });
      const seen: string[] = [];
      const note = (where: string) => (packet: Bytes) =>
        void seen.push(`${lab.timeline.now} ${where} ${toHex(packet.subarray(0, 64))}`);
      lab.outer.tap(note('external'));
      lab.fabric.tap(note('underlay'));
      seen.push(JSON.stringify(runScenario(name, lab).exchanges));
      return seen;
    };
    const first = transcript();
    expect(first.length).toBeGreaterThan(200);
    expect(transcript()).toEqual(first);
  });

  it('losses on the way are not held against it', () => {
    for (const seed of [1, 2]) {
      const conditions = { loss: 0.15, delay: 20, jitter: 10, duplicate: 0.05 };
      const { lab, result } = run(seed % 2 === 0 ? 'hybrid' : 'vpn', seed, { conditions });
      expect(result.problems).toEqual([]);
      expect(ended(lab)).toEqual([true, []]);
    }
  });

  it('a tunnel that cannot come up is named, with the reason and what to do', () => {
    const { result } = run('vpn', 1, { faults: { secret: 'woodgrove' } });
    expect(result.problems[0]).toMatch(/^woodgrove\/site is down: .*; .+/);
    expect(result.problems).toContain('first packet of woodgrove from 10.1.0.10 to 10.2.0.10: 0 of 1 answered');
    expect(result.problems).toContain('woodgrove: the Child SA was not rekeyed');
    expect(result.problems.filter((problem) => problem.startsWith('contoso'))).toEqual([]);
  });

  it('a network that carries nothing: everything is named, virtual networks go on', () => {
    const { result } = run('hybrid', 1, { conditions: { loss: 1 } });
    expect(result.problems.filter((problem) => / is connecting: /.test(problem)).length).toBe(1);
    expect(result.problems).toContain('contoso: the server has seen nothing of it');
    expect(short(result)[0]).toBe('virtual network bridged contoso 10.1.0.10 10.1.0.11: 5/5 1');
  });
});
