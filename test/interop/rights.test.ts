/** A gateway without rights: what it says is missing, and that it still speaks IKE. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BIN, Bulkhead, documentText } from '../support/bulkhead.ts';
import { ADDRESSES, Topology } from '../support/netns.ts';
import { requirePeers } from '../support/peers.ts';
import { Strongswan } from '../support/strongswan.ts';
import { bulkheadEnd, swanConnections, swanEnd } from './ends.ts';

const describeWithPeers = requirePeers('linux', 'root', 'netns', 'tun', 'koffi', 'strongswan', 'ethtool');

/** Without any capability: neither TUN nor raw sockets nor ports below 1024. Files stay readable wherever the checkout is. */
const NO_RIGHTS = ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--ambient-caps=-all', '--no-new-privs', '--'];

const PORTS = { ike: 1500, natt: 4501 };

describeWithPeers('Bulkhead without rights', () => {
  let network: Topology;
  let gateway: Bulkhead;
  let swan: Strongswan;

  beforeAll(async () => {
    network = new Topology();
    // A remote port other than 500 is taken for a NAT-T port: everything goes with the marker (RFC 3948 §2.2) from 4500.
    const lines = ['local_port = 4500', `remote_port = ${PORTS.natt}`];
    swan = await Strongswan.start(network, 'gwB', swanEnd({ lines }));
    const document = bulkheadEnd({ encapsulation: 'udp' }, { external: { ports: PORTS } });
    gateway = await Bulkhead.start(network, 'gwA', document, { wrap: NO_RIGHTS });
  });

  afterAll(async () => {
    await gateway?.stop();
    await swan?.stop();
    await network?.close();
  });

  it('says what does not work: the interface, and ESP without UDP', async () => {
    const { state, problems, listen } = await gateway.status();
    expect(state).toBe('degraded');
    expect(problems).toMatchObject([
      {
        severity: 'error',
        tenant: 'fabrikam',
        problem: expect.stringMatching(/^interface inside \(bh0\) is down: .*EPERM/),
      },
    ]);
    expect(listen).toEqual([
      { address: ADDRESSES.gwA, port: PORTS.ike, carrier: 'udp' },
      { address: ADDRESSES.gwA, port: PORTS.natt, carrier: 'udp' },
    ]);
    expect(gateway.log).toMatch(/no ESP without UDP encapsulation on 192\.0\.2\.1: .*EPERM.*CAP_NET_RAW/);
    expect((await gateway.run('status')).code).toBe(3);
  });

  it('RFC 7296 §2.23: strongSwan brings up a tunnel to its port above 1024', async () => {
    expect((await swan.initiate()).code).toBe(0);
    const { state, childSas, ikeSas } = await gateway.connection();
    expect([state, childSas.map(({ carrier }) => carrier)]).toEqual(['up', ['udp']]);
    expect([ikeSas[0]?.local, ikeSas[0]?.remote]).toEqual([`${ADDRESSES.gwA}:4501`, `${ADDRESSES.gwB}:4500`]);
  });

  it('RFC 7296 §2.23: it brings up a tunnel itself, from its own port to 4500 from the first message on', async () => {
    await swan.load({ connections: swanConnections() });
    const remote = { address: ADDRESSES.gwB, port: 4500 };
    await gateway.reload(bulkheadEnd({ encapsulation: 'udp', start: 'boot', remote }, { external: { ports: PORTS } }));
    const { ikeSas } = await gateway.when(({ state }) => state === 'up');
    expect([ikeSas[0]?.local, ikeSas[0]?.remote]).toEqual([`${ADDRESSES.gwA}:4501`, `${ADDRESSES.gwB}:4500`]);
  });

  it('ports below 1024 are refused with the reason, and the gateway does not stay', async () => {
    const options = { wrap: NO_RIGHTS };
    await expect(Bulkhead.start(network, 'gwA', bulkheadEnd(), options)).rejects.toThrow(
      /cannot listen on 192\.0\.2\.1: .*(EACCES|EPERM)/s,
    );
  });

  it('doctor names what is missing and what it costs', async () => {
    const document = join(gateway.folder, 'standard.yaml');
    writeFileSync(document, documentText(bulkheadEnd(), 'gwA'));
    const words = [...NO_RIGHTS.slice(1), process.execPath, BIN, 'doctor', '-c', document, '--json'];
    const { code, stdout } = await network.run('gwA', NO_RIGHTS[0]!, words);
    const { items } = JSON.parse(stdout) as { items: { name: string; level: string; cost: string; advice: string }[] };
    expect(code).toBe(1);
    const names = ['rights', `udp ${ADDRESSES.gwA}:500`, `ip-50 ${ADDRESSES.gwA}`];
    const missing = items.filter(({ name }) => names.includes(name));
    expect(missing.map(({ name }) => name)).toEqual(names);
    for (const { level, cost, advice } of missing) {
      expect(level).not.toBe('ok');
      expect(cost).not.toBe('');
      expect(advice).not.toBe('');
    }
  });
});
