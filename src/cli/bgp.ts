/** `bgp`: sessions, routes with their reasons, and commands for a peer. */
import type { BgpCommandStatus, BgpLine } from '../api/bgp-backend.ts';
import { envelope } from '../api/envelope.ts';
import type {
  BgpAdvertisedStatus,
  BgpExplanationStatus,
  BgpPeerStatus,
  BgpReceivedStatus,
  BgpRouteStatus,
  BgpSummaryStatus,
} from '../gateway/status-bgp.ts';
import { formatAddress, parseAddress, parsePrefix } from '../ip/index.ts';
import * as words from './bgp-text.ts';
import { type Client, clientFor } from './client.ts';
import { type Call, CliError, EXIT, printJson, printLines, wantsJson } from './io.ts';
import { queryOf, sayMore } from './page.ts';
import { requiredTenant } from './status.ts';
import * as text from './text.ts';

export async function showSummary(call: Call): Promise<number> {
  const summaries = await clientFor(call).call<BgpSummaryStatus>('GET', `/v1/bgp${ofTenant(call)}`);
  if (wantsJson(call)) printJson(call.io, envelope('bgp-summary', summaries));
  else if (summaries.length === 0) printLines(call.io.stderr, [NONE]);
  else printLines(call.io.stdout, words.summaryLines(summaries, text.paletteFor(call.io)));
  return EXIT.ok;
}

/** Exit 3 when it is one peer, and that is not up and is meant to be. */
export async function showPeers(call: Call): Promise<number> {
  const client = clientFor(call);
  const one = call.args[0] === undefined ? undefined : await named(call, client);
  const peers = one === undefined ? await listed(call, client) : [one];
  if (wantsJson(call)) printJson(call.io, envelope('bgp-peers', peers));
  else if (peers.length === 0) printLines(call.io.stderr, [NONE]);
  else {
    const palette = text.paletteFor(call.io);
    const blocks = peers.map((peer) => words.peerLines(peer, palette));
    printLines(
      call.io.stdout,
      blocks.flatMap((lines, i) => (i === 0 ? lines : ['', ...lines])),
    );
  }
  return one === undefined || one.state === 'Established' || one.shutdown ? EXIT.ok : EXIT.degraded;
}

export async function showRoutes(call: Call): Promise<number> {
  const path = `/v1/tenants/${encodeURIComponent(requiredTenant(call))}/bgp/routes`;
  const routes = await clientFor(call).call<BgpRouteStatus>('GET', `${path}${queryOf(call)}`);
  return show(call, 'bgp-routes', routes, words.routeLines);
}

export async function showReceived(call: Call): Promise<number> {
  const client = clientFor(call);
  const path = `${pathOf(await named(call, client))}/received${queryOf(call)}`;
  return show(call, 'bgp-received', await client.call<BgpReceivedStatus>('GET', path), words.receivedLines);
}

export async function showAdvertised(call: Call): Promise<number> {
  const client = clientFor(call);
  const path = `${pathOf(await named(call, client))}/advertised${queryOf(call)}`;
  return show(call, 'bgp-advertised', await client.call<BgpAdvertisedStatus>('GET', path), words.advertisedLines);
}

/** Exit 1 when the tables have nothing for it. */
export async function explain(call: Call): Promise<number> {
  const path = `/v1/tenants/${encodeURIComponent(requiredTenant(call))}/bgp/explain`;
  const to = call.args[0]!;
  if ((parseAddress(to) ?? parsePrefix(to)) === undefined) {
    throw usage(`${to} is neither an address nor a prefix without bits of a host`, 'See: bulkhead bgp explain --help');
  }
  const query = `?to=${encodeURIComponent(to)}`;
  const items = await clientFor(call).call<BgpExplanationStatus>('GET', `${path}${query}`);
  const explanation = items[0]!;
  if (wantsJson(call)) printJson(call.io, envelope('bgp-explanation', items));
  else printLines(call.io.stdout, words.explanationLines(explanation, text.paletteFor(call.io)));
  return explanation.prefix === null ? EXIT.error : EXIT.ok;
}

/** For one peer, or with --all for those of a tenant; the exit is that of the one that went worst. */
export async function command(call: Call, verb: BgpCommandStatus['command']): Promise<number> {
  const client = clientFor(call);
  const all = call.options.all === true;
  const [how, ...more] = all ? call.args : call.args.slice(1);
  if (more.length > 0 || (how !== undefined && verb !== 'clear')) throw usage('either a peer or --all', '');
  if (how !== undefined && !HOW.includes(how)) {
    throw usage(`${how} is not one of ${HOW.join(', ')}`, 'See: bulkhead bgp clear --help');
  }
  const path = all ? `/v1/tenants/${encodeURIComponent(requiredTenant(call))}/bgp` : pathOf(await named(call, client));
  const { text: said, wait: seconds } = call.options;
  const wait = typeof seconds === 'number' ? seconds : 0;
  const body = { ...(how === undefined ? {} : { how }), ...(said === undefined ? {} : { text: said }), wait };
  const items = await client.call<BgpCommandStatus>('POST', `${path}/${verb}`, body, wait);
  if (wantsJson(call)) printJson(call.io, envelope('bgp-commands', items));
  else if (items.length === 0) printLines(call.io.stderr, ['This tenant has no BGP peer.']);
  else
    printLines(
      call.io.stderr,
      items.flatMap((item) => words.commandLines(item, how)),
    );
  const exits = items.map(({ outcome }) => OUTCOMES[outcome]);
  return exits.find((exit) => exit === EXIT.error) ?? exits.find((exit) => exit !== EXIT.ok) ?? EXIT.ok;
}

const HOW: readonly string[] = ['hard', 'soft', 'in', 'out'];
const OUTCOMES = { begun: EXIT.ok, done: EXIT.ok, failed: EXIT.error, timeout: EXIT.timeout } as const;

/** Ends with Ctrl-C as with the last line. */
export async function follow(call: Call): Promise<number> {
  const client = clientFor(call);
  const peer = call.args[0] === undefined ? undefined : await named(call, client);
  const { events, count, seconds } = call.options;
  const body = { tenant: peer?.tenant ?? call.options.tenant, peer: peer?.name, events, count, seconds };
  try {
    for await (const line of client.stream<BgpLine>('/v1/bgp/log', body)) {
      if (wantsJson(call)) printLines(call.io.stdout, [JSON.stringify(line)]);
      else printLines(call.io.stdout, words.saidLines(line, text.paletteFor(call.io)));
    }
  } catch (error) {
    if (!call.io.signal.aborted) throw error;
  }
  return EXIT.ok;
}

interface Routed {
  readonly prefix: string;
}

function show<T extends Routed>(
  call: Call,
  kind: string,
  routes: readonly T[],
  lines: (routes: readonly T[], palette: text.Palette) => string[],
): number {
  if (wantsJson(call)) {
    printJson(call.io, envelope(kind, routes));
    return EXIT.ok;
  }
  if (routes.length === 0) printLines(call.io.stderr, ['There are no such routes.']);
  else printLines(call.io.stdout, lines(routes, text.paletteFor(call.io)));
  // A page is full of prefixes, of which each may have several paths.
  sayMore(call, new Set(routes.map(({ prefix }) => prefix)).size);
  return EXIT.ok;
}

/** `TENANT/PEER`, or a name or address that only one peer has. */
export async function named(call: Call, client: Client, word = call.args[0]): Promise<BgpPeerStatus> {
  if (word === undefined) throw usage('a peer is needed, or --all', 'See: bulkhead bgp peers');
  const slash = word.indexOf('/');
  const [tenant, name] = slash < 0 ? [undefined, word] : [word.slice(0, slash), word.slice(slash + 1)];
  const address = parseAddress(name);
  const wanted = address === undefined ? name : formatAddress(address);
  const all = await listed(call, client);
  const found = all.filter(
    (peer) => (tenant === undefined || peer.tenant === tenant) && (peer.name === wanted || peer.address === wanted),
  );
  if (found.length === 1) return found[0]!;
  const known = (found.length > 1 ? found : all).slice(0, 20).map((peer) => `${peer.tenant}/${peer.name}`);
  const problem = found.length > 1 ? `several BGP peers are called ${word}` : `there is no BGP peer ${word}`;
  const advice = known.length === 0 ? 'There are none at all.' : `Name one of: ${known.join(', ')}`;
  throw new CliError(EXIT.error, found.length > 1 ? 'ambiguous' : 'not-found', problem, advice);
}

const listed = (call: Call, client: Client): Promise<readonly BgpPeerStatus[]> =>
  client.call<BgpPeerStatus>('GET', `/v1/bgp/peers${ofTenant(call)}`);

function ofTenant(call: Call): string {
  const { tenant } = call.options;
  return tenant === undefined ? '' : `?tenant=${encodeURIComponent(String(tenant))}`;
}

const pathOf = ({ tenant, name }: BgpPeerStatus): string =>
  `/v1/tenants/${encodeURIComponent(tenant)}/bgp/peers/${encodeURIComponent(name)}`;

const usage = (problem: string, advice: string): CliError => new CliError(EXIT.usage, 'usage', problem, advice);

const NONE = 'There is no BGP peer: no tenant has one.';
