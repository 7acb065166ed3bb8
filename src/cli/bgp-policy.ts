/** `bgp policy test`: a route, a peer of a document, and what the peer's policy makes of it. */
import { envelope } from '../api/envelope.ts';
import { parseOrigin, parsePath, splitCommunities } from '../bgp/index.ts';
import { type BgpConfig, type BgpPeerConfig, DEFAULT_COMPARTMENT, type Document } from '../config/index.ts';
import { type TrialRoute, type TrialSpeaker, tryRoute } from '../gateway/index.ts';
import type { BgpTrialStatus } from '../gateway/status-bgp.ts';
import { parseAddress, parsePrefix } from '../ip/index.ts';
import { type Call, CliError, EXIT, printJson, printLines, wantsJson } from './io.ts';
import { loadDocument } from './loading.ts';
import * as text from './text.ts';

export async function testPolicy(call: Call): Promise<number> {
  const { config, direction = 'in' } = call.options;
  if (typeof config !== 'string') throw usage('--config is needed');
  const route = routeOf(call);
  const { document } = await loadDocument(call.io, config);
  const { of, router, peer } = peerOf(call, routersOf(document));
  const outcome = tryRoute(of, router, peer, direction === 'out' ? 'out' : 'in', route);
  if (typeof outcome === 'string') throw usage(outcome);
  if (wantsJson(call)) printJson(call.io, envelope('bgp-trial', [outcome]));
  else printLines(call.io.stdout, trialLines(outcome, text.paletteFor(call.io)));
  return outcome.accepted ? EXIT.ok : EXIT.error;
}

interface Speaking {
  readonly of: TrialSpeaker;
  readonly router: BgpConfig;
}

interface Found extends Speaking {
  readonly peer: BgpPeerConfig;
}

/** Of compartment 1, and of tenants. */
function routersOf(document: Document): readonly Speaking[] {
  if (document.role === 'host') return [];
  const { bgp, interface: outside } = document.gateway.external;
  const of = { name: DEFAULT_COMPARTMENT, addresses: outside?.addresses ?? [] };
  return [
    ...(bgp === undefined ? [] : [{ of, router: bgp }]),
    ...document.tenants.flatMap(({ name, interfaces, subnets, bgp: router }) => {
      const addresses = [...interfaces, ...subnets].flatMap((each) => each.addresses);
      return router === undefined ? [] : [{ of: { name, addresses }, router }];
    }),
  ];
}

function peerOf(call: Call, routers: readonly Speaking[]): Found {
  const { peer: word, tenant: only } = call.options;
  if (typeof word !== 'string') throw usage('--peer is needed');
  const all = routers.flatMap((each) => each.router.peers.map((peer) => ({ ...each, peer })));
  const labelOf = ({ of, peer }: Found): string => `${of.name}/${peer.name}`;
  const found = all.filter(
    (each) => (labelOf(each) === word || each.peer.name === word) && (only === undefined || each.of.name === only),
  );
  if (found.length === 1) return found[0]!;
  const problem = found.length > 1 ? `several peers are called ${word}` : `the document has no BGP peer ${word}`;
  const names = (found.length > 1 ? found : all).slice(0, 20).map(labelOf).join(', ');
  throw new CliError(EXIT.usage, 'usage', problem, names === '' ? 'It has none at all.' : `Name one of: ${names}`);
}

function routeOf(call: Call): TrialRoute {
  const { asPath, nextHop, origin: mark = 'igp', med, localPreference, community } = call.options;
  const word = call.args[0]!;
  const prefix = parsePrefix(word);
  if (prefix === undefined) throw usage(`${word} is not a prefix`);
  const hop = nextHop === undefined ? undefined : parseAddress(String(nextHop));
  if (nextHop !== undefined && hop === undefined) throw usage(`${String(nextHop)} is not an address`);
  const origin = parseOrigin(String(mark));
  if (origin === undefined) throw usage(`--origin must be igp, egp or incomplete, not ${String(mark)}`);
  return {
    prefix,
    asPath: asPath === undefined ? undefined : pathOf(String(asPath)),
    nextHop: hop,
    origin,
    med: med as number | undefined,
    localPreference: localPreference as number | undefined,
    communities: community === undefined ? [] : splitCommunities(String(community)),
  };
}

function pathOf(text: string): NonNullable<TrialRoute['asPath']> {
  const path = parsePath(text);
  if (path !== undefined) return path;
  throw usage(`--as-path must be like 65001 65002 {65003,65004}, not ${text}`);
}

export function trialLines(outcome: BgpTrialStatus, palette: text.Palette): string[] {
  const { tenant, peer, direction, prefix, accepted, why, before, after } = outcome;
  const way = direction === 'in' ? 'from' : 'to';
  const verdict = accepted ? palette.good('accepted') : palette.bad('refused');
  const head = `${prefix} ${way} ${text.printable(`${tenant}/${peer}`)}: ${verdict}: ${text.printable(why)}`;
  if (before === null) return [head];
  const rows = ATTRIBUTES.flatMap(([name, value]): text.Cell[][] => {
    const [old, fresh] = [value(before), after === null ? '' : value(after)];
    if (old === '' && fresh === '') return [];
    return [
      [name, old, ...(after === null ? [] : [old === fresh ? fresh : { text: fresh || '-', style: palette.warn }])],
    ];
  });
  const columns = ['ATTRIBUTE', 'BEFORE', ...(after === null ? [] : ['AFTER'])].map((title) => ({ title }));
  return [head, ...text.table(columns, rows, palette)];
}

type Words = NonNullable<BgpTrialStatus['before']>;

const ATTRIBUTES: readonly (readonly [string, (words: Words) => string])[] = [
  ['next hop', (words) => words.nextHop],
  ['AS path', (words) => words.asPath],
  ['origin', (words) => words.origin],
  ['MED', (words) => String(words.med ?? '')],
  ['local preference', (words) => String(words.localPreference ?? '')],
  ['weight', (words) => (words.weight === 0 ? '' : String(words.weight))],
  ['communities', (words) => words.communities.join(' ')],
  ['others', (words) => words.others.join('; ')],
];

const usage = (problem: string): CliError =>
  new CliError(EXIT.usage, 'usage', problem, 'See: bulkhead bgp policy test --help');
