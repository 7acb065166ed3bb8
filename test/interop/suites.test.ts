/** Every kind of algorithm against strongSwan: in the IKE SA, in the first Child SA and, where there is PFS, in its successor. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Bulkhead } from '../support/bulkhead.ts';
import { ADDRESSES, Topology } from '../support/netns.ts';
import { requirePeers } from '../support/peers.ts';
import { Strongswan } from '../support/strongswan.ts';
import { bulkheadEnd, noneLeft, oneOfEach, swanConnections, swanEnd } from './ends.ts';

interface Suite {
  readonly ike: string;
  readonly esp: string;
  /** As strongSwan names them. `group` is that of PFS. */
  readonly theirs: { readonly ike: string; readonly esp: string; readonly group?: string };
  /** As we name them, where that is not what the proposal says. */
  readonly ours?: { readonly ike: string };
  readonly legacy?: boolean;
}

const SUITES: readonly Suite[] = [
  {
    ike: 'aes128gcm16-prfsha256-ecp256',
    esp: 'aes128gcm16-ecp256',
    theirs: { ike: 'AES_GCM_16-128/PRF_HMAC_SHA2_256/ECP_256', esp: 'AES_GCM_16-128', group: 'ECP_256' },
  },
  {
    ike: 'aes256gcm16-prfsha384-ecp384',
    esp: 'aes256gcm16-ecp384',
    theirs: { ike: 'AES_GCM_16-256/PRF_HMAC_SHA2_384/ECP_384', esp: 'AES_GCM_16-256', group: 'ECP_384' },
  },
  {
    ike: 'aes256gcm8-prfsha512-ecp521',
    esp: 'aes256gcm8-ecp521',
    theirs: { ike: 'AES_GCM_8-256/PRF_HMAC_SHA2_512/ECP_521', esp: 'AES_GCM_8-256', group: 'ECP_521' },
  },
  {
    ike: 'aes128gcm12-prfsha256-modp2048',
    esp: 'aes128gcm12-modp2048',
    theirs: { ike: 'AES_GCM_12-128/PRF_HMAC_SHA2_256/MODP_2048', esp: 'AES_GCM_12-128', group: 'MODP_2048' },
  },
  {
    ike: 'aes128-sha256-modp3072',
    esp: 'aes128-sha256-modp3072',
    ours: { ike: 'aes128-sha256-prfsha256-modp3072' },
    theirs: {
      ike: 'AES_CBC-128/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_3072',
      esp: 'AES_CBC-128/HMAC_SHA2_256_128',
      group: 'MODP_3072',
    },
  },
  {
    ike: 'aes256-sha384-modp4096',
    esp: 'aes256-sha384-modp4096',
    ours: { ike: 'aes256-sha384-prfsha384-modp4096' },
    theirs: {
      ike: 'AES_CBC-256/HMAC_SHA2_384_192/PRF_HMAC_SHA2_384/MODP_4096',
      esp: 'AES_CBC-256/HMAC_SHA2_384_192',
      group: 'MODP_4096',
    },
  },
  {
    ike: 'aes256-sha512-ecp256',
    esp: 'aes256-sha512',
    ours: { ike: 'aes256-sha512-prfsha512-ecp256' },
    theirs: {
      ike: 'AES_CBC-256/HMAC_SHA2_512_256/PRF_HMAC_SHA2_512/ECP_256',
      esp: 'AES_CBC-256/HMAC_SHA2_512_256',
    },
  },
  {
    ike: 'aes128ctr-sha256-prfsha256-modp2048',
    esp: 'aes256ctr-sha256-ecp256',
    theirs: {
      ike: 'AES_CTR-128/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048',
      esp: 'AES_CTR-256/HMAC_SHA2_256_128',
      group: 'ECP_256',
    },
  },
  {
    ike: 'aes128ccm8-prfsha256-ecp256',
    esp: 'aes128ccm8',
    theirs: { ike: 'AES_CCM_8-128/PRF_HMAC_SHA2_256/ECP_256', esp: 'AES_CCM_8-128' },
  },
  {
    ike: 'aes256ccm16-prfsha256-curve25519',
    esp: 'aes256ccm16',
    theirs: { ike: 'AES_CCM_16-256/PRF_HMAC_SHA2_256/CURVE_25519', esp: 'AES_CCM_16-256' },
  },
  {
    ike: 'chacha20poly1305-prfsha256-curve25519',
    esp: 'chacha20poly1305-curve25519',
    theirs: {
      ike: 'CHACHA20_POLY1305/PRF_HMAC_SHA2_256/CURVE_25519',
      esp: 'CHACHA20_POLY1305',
      group: 'CURVE_25519',
    },
  },
  {
    ike: 'aes256gcm16-prfsha512-curve448',
    esp: 'aes256gcm16-curve448',
    theirs: { ike: 'AES_GCM_16-256/PRF_HMAC_SHA2_512/CURVE_448', esp: 'AES_GCM_16-256', group: 'CURVE_448' },
  },
  {
    ike: 'aes128-aesxcbc-prfaesxcbc-modp2048',
    esp: 'aes128-aesxcbc',
    theirs: {
      ike: 'AES_CBC-128/AES_XCBC_96/PRF_AES128_XCBC/MODP_2048',
      esp: 'AES_CBC-128/AES_XCBC_96',
    },
  },
  {
    ike: 'aes128-aescmac-prfaescmac-ecp256',
    esp: 'aes128-aescmac',
    theirs: { ike: 'AES_CBC-128/AES_CMAC_96/PRF_AES128_CMAC/ECP_256', esp: 'AES_CBC-128/AES_CMAC_96' },
  },
  {
    ike: '3des-sha1-modp1024',
    esp: '3des-sha1-modp1024',
    ours: { ike: '3des-sha1-prfsha1-modp1024' },
    theirs: {
      ike: '3DES_CBC/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_1024',
      esp: '3DES_CBC/HMAC_SHA1_96',
      group: 'MODP_1024',
    },
    legacy: true,
  },
];

const describeWithPeers = requirePeers('linux', 'root', 'netns', 'tun', 'koffi', 'strongswan', 'ethtool', 'ping');

describeWithPeers('suites with strongSwan', () => {
  let network: Topology;
  let gateway: Bulkhead;
  let swan: Strongswan;

  beforeAll(async () => {
    network = new Topology();
    swan = await Strongswan.start(network, 'gwB', swanEnd({}, { lines: ['delete_rekeyed_delay = 0'] }));
    gateway = await Bulkhead.start(network, 'gwA', bulkheadEnd());
  });

  afterAll(async () => {
    await gateway?.stop();
    await swan?.stop();
    await network?.close();
  });

  it.each(SUITES)('$ike with $esp: both roles, and rekeyed with its group', async (suite) => {
    const { ike, esp, legacy = false, theirs } = suite;
    const ourIke = suite.ours?.ike ?? ike;
    const firstEsp = theirs.group === undefined ? esp : esp.slice(0, esp.lastIndexOf('-'));
    await swan.load({ connections: swanConnections({ proposals: ike, child: { proposals: esp } }) });
    const end = { legacy, ike: { proposals: [ike] }, child: { proposals: [esp] } };

    await gateway.reload(bulkheadEnd({ ...end, start: 'demand' }));
    await noneLeft(swan);
    expect(await network.ping('hostA', ADDRESSES.hostB, 2)).toBe(2);
    expect(await network.ping('hostB', ADDRESSES.hostA, 2)).toBe(2);
    const begun = await gateway.connection();
    expect(begun.ikeSas.map(({ role, suite: name }) => [role, name])).toEqual([['initiator', ourIke]]);
    expect(begun.childSas.map(({ suite: name }) => name)).toEqual([firstEsp]);
    const [seen] = await swan.listSas();
    expect([seen?.initiator, seen?.suite, seen?.children[0]?.suite]).toEqual([false, theirs.ike, theirs.esp]);

    await gateway.reload(bulkheadEnd({ ...end, start: 'listen' }));
    await noneLeft(swan);
    expect(await swan.initiate()).toMatchObject({ code: 0 });
    expect(await network.ping('hostA', ADDRESSES.hostB, 2)).toBe(2);
    expect(await network.ping('hostB', ADDRESSES.hostA, 2)).toBe(2);
    const answered = await gateway.connection();
    expect(answered.ikeSas.map(({ role, suite: name }) => [role, name])).toEqual([['responder', ourIke]]);
    expect(answered.childSas.map(({ suite: name }) => name)).toEqual([firstEsp]);
    const [made] = await swan.listSas();
    expect([made?.initiator, made?.suite, made?.children[0]?.suite]).toEqual([true, theirs.ike, theirs.esp]);
    if (theirs.group === undefined) return;

    expect(await gateway.cli('connections', 'rekey', 'hq', '--wait', '20')).toMatchObject([{ outcome: 'done' }]);
    await oneOfEach(swan);
    const ours = await gateway.when(({ childSas }) => childSas.some((c) => c.state === 'active' && c.suite === esp));
    expect(ours.childSas.filter(({ state }) => state === 'active')).toHaveLength(1);
    expect((await swan.installed()).map((child) => child.suite)).toEqual([`${theirs.esp}/${theirs.group}`]);
    expect(await network.ping('hostA', ADDRESSES.hostB, 2)).toBe(2);
  });
});
