import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  type ConnectionConfig,
  formatSelector,
  type GatewayDocument,
  gatewayTenants,
  type HostDocument,
  readDocument,
} from '../../src/config/index.ts';
import { formatAddress, sameAddress } from '../../src/ip/index.ts';
import { run } from './world.ts';

const FOLDER = new URL('../../examples/', import.meta.url).pathname;
const documents = readdirSync(FOLDER).filter((name) => name.endsWith('.yaml'));

describe('examples', () => {
  test.each(documents)('%s passes config check without an issue', async (name) => {
    const file = join(FOLDER, name);
    expect((await run(`config check ${file}`)).exit).toBe(0);
    expect(readDocument(readFileSync(file, 'utf8'), name).issues).toEqual([]);
  });

  test('a lab peer takes ten lines', () => {
    expect(readFileSync(join(FOLDER, 'lab-peer.yaml'), 'utf8').trim().split('\n').length).toBe(10);
  });

  // Both ends have to say the same, turned around; only what swanctl.conf states is compared.
  test.each([
    ['fabrikam', 'hq', 'fabrikam.swanctl.conf', 'bulkhead'],
    ['contoso', 'hq', 'contoso.swanctl.conf', 'hq'],
    ['contoso', 'branch', 'contoso.swanctl.conf', 'branch'],
  ])('%s/%s agrees with %s', (tenant, name, file, section) => {
    const { document } = readDocument(readFileSync(join(FOLDER, 'gateway.yaml'), 'utf8'), 'gateway.yaml');
    const connections: readonly ConnectionConfig[] = gatewayTenants(document!).find(
      (t) => t.name === tenant,
    )!.connections;
    const connection = connections.find((c) => c.name === name)!;
    const text = readFileSync(join(FOLDER, file), 'utf8');
    const block = text.slice(text.indexOf(`\n  ${section} {`)).split('\n  }\n')[0]!;
    const value = (key: string, from = 0): string | undefined =>
      new RegExp(`\\b${key} = (.*)`).exec(block.slice(from))?.[1];
    expect(value('remote_addrs')).toBe(formatAddress(connection.local.address));
    if (connection.remote.address !== undefined) {
      expect(value('local_addrs')).toBe(formatAddress(connection.remote.address));
    }
    expect(value('id', block.indexOf('local {'))).toBe(connection.remote.id);
    expect(value('id', block.indexOf('remote {'))).toBe(connection.local.id);
    expect(value('local_ts')).toBe(connection.child.remote.map(formatSelector).join(','));
    expect(value('remote_ts')).toBe(connection.child.local.map(formatSelector).join(','));
  });

  test('the host and the gateway of a fabric know the same of each other', () => {
    const gateway = readDocument(readFileSync(join(FOLDER, 'multi-tenant.yaml'), 'utf8'), '')
      .document as GatewayDocument;
    const host = readDocument(readFileSync(join(FOLDER, 'host.yaml'), 'utf8'), '').document as HostDocument;
    const [pa, gatewayPa] = [host.host.underlay, gateway.gateway.underlay!].map(({ addresses }) => addresses[0]!);
    expect(host.host.underlay.mtu).toBe(gateway.gateway.underlay!.mtu);
    for (const [i, { name, rdid, vms, lookup }] of host.tenants.entries()) {
      const tenant = gateway.tenants[i]!;
      expect([tenant.name, tenant.rdid]).toEqual([name, rdid]);
      for (const { vsid, mac, addresses } of vms) {
        for (const ca of addresses) expect(tenant.lookup).toContainEqual({ vsid, ca, mac, pa, type: 'static' });
      }
      for (const record of lookup.filter((other) => !sameAddress(other.pa, gatewayPa!)))
        expect(tenant.lookup).toContainEqual(record);
      for (const { vsid, ca, mac } of lookup.filter((other) => sameAddress(other.pa, gatewayPa!))) {
        const subnet = tenant.subnets.find((other) => other.vsid === vsid)!;
        expect([subnet.mac, subnet.addresses[0]!.address]).toEqual([mac, ca]);
      }
    }
  });
});
