/**
 * `bgp dump`: an MRT file (RFC 6396) of a running gateway: the tables of a tenant as they are, or what passes in its sessions.
 *
 * One tenant a file: addresses and AS numbers of two may be the same, and a file says nothing else of a peer.
 * Exit 1 where tables or the gateway end before their time: the file has what came until then.
 */
import { closeSync } from 'node:fs';
import { envelope } from '../api/envelope.ts';
import type { MrtPage } from '../api/mrt-stream.ts';
import { named } from './bgp.ts';
import { type Client, clientFor } from './client.ts';
import { type Call, CliError, EXIT, printJson, printLines, wantsJson } from './io.ts';
import { openOutput, STDOUT, writeOutput } from './output-file.ts';
import { requiredTenant } from './status.ts';
import { formatOctets } from './text.ts';

export async function dump(call: Call): Promise<number> {
  const name = call.args[0]!;
  const { messages, peer, seconds } = call.options;
  if (messages !== true && (peer !== undefined || seconds !== undefined))
    throw new CliError(EXIT.usage, 'usage', '--peer and --seconds go with --messages', 'Tables are dumped whole.');
  const pages = await pagesOf(call, requiredTenant(call), clientFor(call));
  // What is refused leaves a file from before as it is; messages may be long in coming.
  let file = messages === true ? openOutput(name) : undefined;
  const written = { octets: 0, records: 0, routes: 0, missed: 0 };
  let end: MrtPage['end'];
  let lost = false;
  try {
    for await (const page of pages) {
      const octets = Buffer.from(page.octets, 'base64');
      file ??= openOutput(name);
      await writeOutput(name, file, octets);
      written.octets += octets.length;
      for (const key of ['records', 'routes', 'missed'] as const) written[key] += page[key];
      ({ end } = page);
    }
  } catch (error) {
    if (error instanceof CliError && !call.io.signal.aborted) throw error;
    lost = !call.io.signal.aborted;
  } finally {
    if (file !== undefined && file !== STDOUT) closeSync(file);
  }
  if (lost || (messages !== true && end !== 'whole')) throw incomplete(call, name, end);
  report(call, name, written);
  return EXIT.ok;
}

async function pagesOf(call: Call, tenant: string, client: Client): Promise<AsyncIterable<MrtPage>> {
  const path = `/v1/tenants/${encodeURIComponent(tenant)}/bgp/dump`;
  const { messages, peer, seconds } = call.options;
  if (messages !== true) return client.stream<MrtPage>(`${path}/tables`, {});
  const only = peer === undefined ? undefined : (await named(call, client, String(peer))).name;
  return client.stream<MrtPage>(`${path}/messages`, { peer: only, seconds });
}

function incomplete(call: Call, name: string, end: MrtPage['end']): CliError {
  if (call.options.messages === true)
    return new CliError(EXIT.error, 'incomplete', `the gateway ended: ${name} has what passed until then`, '');
  if (call.io.signal.aborted)
    return new CliError(EXIT.error, 'interrupted', `interrupted: ${name} has a part of the tables`, '');
  const why = end === 'cut' ? 'the router of the tenant ended meanwhile' : 'the gateway ended meanwhile';
  return new CliError(EXIT.error, 'incomplete', `${name} has a part of the tables: ${why}`, 'Dump them once more.');
}

interface Written {
  readonly octets: number;
  readonly records: number;
  readonly routes: number;
  readonly missed: number;
}

function report(call: Call, file: string, written: Written): void {
  const { octets, records, routes, missed } = written;
  const isTable = call.options.messages !== true;
  if (wantsJson(call) && file !== '-') printJson(call.io, envelope('bgp-dump', [{ file, ...written }]));
  // The first record of a table is the list of its peers.
  const what = isTable ? `${routes} routes to ${records - 1} prefixes` : `${records} messages and changes of state`;
  const unseen = isTable ? `${missed} routes of peers that came meanwhile are not` : `${missed} passed unseen`;
  const gap = missed === 0 ? '' : `; ${unseen}`;
  printLines(call.io.stderr, [`${what} in ${file} (${formatOctets(octets)})${gap}`]);
}
