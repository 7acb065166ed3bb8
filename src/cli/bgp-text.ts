/** BGP in lines: the columns of `show bgp summary` and `show bgp`, with what the gateway knows beyond them. */
import type { BgpCommandStatus, BgpLine } from '../api/bgp-backend.ts';
import type {
  BgpAdvertisedStatus,
  BgpErrorStatus,
  BgpExplanationStatus,
  BgpPathExplanation,
  BgpPeerStatus,
  BgpPeerSummary,
  BgpReceivedStatus,
  BgpRouteStatus,
  BgpSummaryStatus,
} from '../gateway/status-bgp.ts';
import { type Cell, type Column, formatOctets, formatSeconds, type Palette, printable, table } from './text.ts';

type Words = BgpRouteStatus['attributes'];

export const summaryLines = (summaries: readonly BgpSummaryStatus[], palette: Palette): string[] =>
  summaries.flatMap((summary, i) => [...(i === 0 ? [] : ['']), ...routerLines(summary, palette)]);

function routerLines(summary: BgpSummaryStatus, palette: Palette): string[] {
  const {
    tenant,
    routerId,
    as,
    tableVersion,
    ribCount,
    ribMemory,
    peers,
    selectionDeferredSeconds: deferred,
  } = summary;
  const about = [
    `BGP router identifier ${routerId}`,
    `local AS number ${as}`,
    `table version ${tableVersion}`,
    `${ribCount} ${ribCount === 1 ? 'prefix' : 'prefixes'} in ${formatOctets(ribMemory)}`,
    ...(deferred === undefined ? [] : [`restarted: routes are chosen in ${formatSeconds(deferred)} at the latest`]),
  ];
  const columns: Column[] = [
    { title: 'NEIGHBOR' },
    ...right('V', 'AS', 'MSGRCVD', 'MSGSENT', 'TBLVER', 'INQ', 'OUTQ', 'UP/DOWN', 'STATE/PFXRCD', 'PFXSNT'),
    { title: 'DESC' },
    { title: 'WHY' },
  ];
  const rows = Object.entries(peers).map(([address, peer]): Cell[] => [
    address,
    ...[peer.version, peer.remoteAs, peer.msgRcvd, peer.msgSent, peer.tableVersion, peer.inq, peer.outq],
    peer.peerUptime,
    stateCell(peer, palette),
    peer.pfxSnt,
    peer.desc,
    peer.why ?? treatedWords(peer) ?? '',
  ]);
  return [`${palette.bold(printable(tenant))}  ${about.join(', ')}`, ...table(columns, rows, palette)];
}

/** RFC 7606: what was wrong with UPDATEs of a session that goes on. */
function treatedWords({ treated }: Pick<BgpPeerSummary, 'treated'>): string | undefined {
  if (treated === undefined) return undefined;
  const { discard, withdraw, why } = treated;
  const counts = [
    ...(withdraw === 0 ? [] : [`${withdraw} treated as withdraw`]),
    ...(discard === 0 ? [] : [`${discard} without some attributes`]),
  ];
  return `UPDATEs: ${counts.join(', ')}; last: ${why}`;
}

/** How many prefixes, or in which state; as others write it. */
function stateCell({ state, peerState, pfxRcd }: BgpPeerSummary, palette: Palette): Cell {
  if (peerState === 'Admin') return { text: `${state} (Admin)`, style: palette.dim };
  if (state !== 'Established') return { text: state, style: palette.bad };
  return peerState === 'Policy'
    ? { text: `${pfxRcd} (Policy)`, style: palette.warn }
    : { text: String(pfxRcd), style: palette.good };
}

export function peerLines(peer: BgpPeerStatus, palette: Palette): string[] {
  const up = peer.state === 'Established';
  const style = up ? palette.good : peer.shutdown ? palette.dim : palette.bad;
  const state = peer.shutdown ? `${peer.state} (Admin)` : peer.state;
  const held = peer.peerUptime === 'never' ? [] : [`for ${peer.peerUptime}`];
  const since = [...held, ...(up || peer.why === undefined ? [] : [peer.why])].join(': ');
  const link = peer.kind === 'external' ? 'external' : peer.kind === 'client' ? 'internal, our client' : 'internal';
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['remote', `${peer.address}, AS ${peer.remoteAs}${peer.remoteId === undefined ? '' : `, ID ${peer.remoteId}`}`],
    ['local', `AS ${peer.localAs}, ID ${peer.localId}; ${link} link${peer.md5 ? ', MD5' : ''}`],
    ['timers', timerWords(peer)],
    ['routes', `${peer.pfxRcd} received, ${peer.pfxAccepted} accepted, ${peer.pfxSnt} sent`],
    ['faults', treatedWords(peer)],
    ['policies', `import ${peer.import}, export ${peer.export}`],
    ['families', peer.families.join(', ')],
    ...peer.capabilitiesSent.map((words, i) => [i === 0 ? 'sent' : '', words] as const),
    ...peer.capabilitiesReceived.map((words, i) => [i === 0 ? 'received' : '', words] as const),
    ['messages', `in ${countWords(peer.messagesReceived)}; out ${countWords(peer.messagesSent)}`],
    ['octets', `in ${formatOctets(peer.octetsReceived)}, out ${formatOctets(peer.octetsSent)}, ${peer.outq} waiting`],
    ['sessions', sessionWords(peer)],
    ['last sent', peer.lastErrorSent && errorWords(peer.lastErrorSent)],
    ['last heard', peer.lastErrorReceived && errorWords(peer.lastErrorReceived)],
  ];
  return [
    `${palette.bold(printable(`${peer.tenant}/${peer.name}`))}  ${style(state)}  ${printable(since)}`.trimEnd(),
    ...rows.flatMap(([name, value]) =>
      value === undefined || value === '' ? [] : [`  ${name.padEnd(10)}  ${printable(value)}`],
    ),
  ];
}

function timerWords(peer: BgpPeerStatus): string | undefined {
  const { holdSeconds, keepaliveSeconds, nextTrySeconds } = peer;
  if (holdSeconds !== undefined) return `hold ${holdSeconds} s, keepalive ${keepaliveSeconds} s${intervalWords(peer)}`;
  return nextTrySeconds === undefined ? undefined : `tries again in ${formatSeconds(nextTrySeconds)}`;
}

function intervalWords({
  advertisementIntervalSeconds: interval,
  nextAdvertisementSeconds: next,
}: BgpPeerStatus): string {
  if (interval === undefined) return '';
  return `, advertisements ${interval} s apart${next === undefined ? '' : `: changes go in ${formatSeconds(next)}`}`;
}

function sessionWords(peer: BgpPeerStatus): string {
  const { connectionsEstablished, connectionsDropped, collisions, dialledBy } = peer;
  const dialled = dialledBy === undefined ? '' : `; dialled by ${dialledBy === 'us' ? 'us' : 'the peer'}`;
  return `${connectionsEstablished} established, ${connectionsDropped} dropped, ${collisions} collided${dialled}`;
}

/** `open 1, update 3`; nothing of what has not come. */
const countWords = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ') || 'none';

const errorWords = ({ words, code, subcode, secondsAgo }: BgpErrorStatus): string =>
  `${formatSeconds(secondsAgo)} ago: ${words} (${code}/${subcode})`;

/** `*` may be used, `>` the best, `S` stale. */
export function routeLines(routes: readonly BgpRouteStatus[], palette: Palette): string[] {
  const columns = [...left('', 'NETWORK', 'NEXT HOP'), ...right('METRIC', 'LOCPRF', 'WEIGHT'), ...left('PATH', 'PEER')];
  const rows = routes.map(({ prefix, peer, best, valid, stale, attributes }, i): Cell[] => [
    `${stale ? 'S' : valid ? '*' : ' '}${best ? '>' : ' '}`,
    routes[i - 1]?.prefix === prefix ? '' : prefix,
    ...usual(attributes),
    peer,
  ]);
  return table(columns, rows, palette);
}

export function receivedLines(routes: readonly BgpReceivedStatus[], palette: Palette): string[] {
  const columns = [...left('NETWORK', 'NEXT HOP'), ...right('METRIC', 'LOCPRF', 'WEIGHT'), ...left('PATH', '', 'WHY')];
  const rows = routes.map(({ prefix, before, after, accepted, stale, why }): Cell[] => [
    prefix,
    ...usual(after ?? before),
    accepted ? { text: 'accepted', style: palette.good } : { text: 'refused', style: palette.bad },
    stale ? `stale; ${why}` : why,
  ]);
  return table(columns, rows, palette);
}

export function advertisedLines(routes: readonly BgpAdvertisedStatus[], palette: Palette): string[] {
  const columns = [...left('NETWORK', 'NEXT HOP'), ...right('METRIC', 'LOCPRF', 'WEIGHT'), ...left('PATH', 'MORE')];
  const rows = routes.map(({ prefix, attributes }): Cell[] => [prefix, ...usual(attributes), moreOf(attributes)]);
  return table(columns, rows, palette);
}

export function explanationLines(explanation: BgpExplanationStatus, palette: Palette): string[] {
  const { asked, prefix, paths, told, fib, fibWhy } = explanation;
  const forwards = [
    palette.bold('forwarding'),
    `  ${fibWhy}`,
    ...(fib.length < 2 ? [] : fib.map((r) => `  ${r.prefix} via ${r.via}, preference ${r.preference}: ${r.why}`)),
  ].map(printable);
  if (prefix === null) return [printable(`BGP has no route to ${asked}`), ...forwards];
  return [
    `${palette.bold(prefix)}  ${paths.length} ${paths.length === 1 ? 'path' : 'paths'}`,
    ...paths.flatMap((path) => pathLines(path, palette)),
    palette.bold('told'),
    ...told.map((each) => printable(`  ${each.peer}: ${each.told ? '' : 'not told, '}${each.why}`)),
    ...(told.length > 0
      ? []
      : [`  nobody: ${paths.some(({ best }) => best) ? 'no session is up' : 'no path may be used'}`]),
    ...forwards,
  ];
}

/** What has become of a command; where nobody has waited for it, what the session is like by now. */
export function commandLines({ command, outcome, why, peer }: BgpCommandStatus, how: string | undefined): string[] {
  const { tenant, name, state, why: reason } = peer;
  const verb = how === undefined ? command : `${command} ${how}`;
  const now = reason === undefined ? state : `${state}: ${reason}`;
  const went = outcome === 'begun' ? `; ${now}` : ` ${outcome}: ${why}`;
  const next = outcome === 'timeout' ? [`  → bulkhead bgp peers ${tenant}/${name}`] : [];
  const asked = outcome === 'begun' && (how === 'in' || how === 'soft') ? [askedLine(peer)] : [];
  return [printable(`${tenant}/${name}: ${verb}${went}`), ...asked, ...next];
}

/** Whether a peer answers a ROUTE-REFRESH can be told only where it marks its answer (RFC 7313 §4). */
const askedLine = ({ tenant, name, capabilitiesReceived }: BgpPeerStatus): string =>
  capabilitiesReceived.includes('ENHANCED_ROUTE_REFRESH')
    ? `It has been asked for its routes; whether it answers: bulkhead bgp log ${tenant}/${name} --events`
    : 'It has been asked for its routes, and does not mark its answer (no ENHANCED_ROUTE_REFRESH).';

export function saidLines({ time, tenant, peer, kind, what, words, missed }: BgpLine, palette: Palette): string[] {
  const gap = missed === 0 ? [] : [palette.warn(`${missed} lines were too many`)];
  const said = kind === 'event' ? `-    ${what}: ${words}` : `${kind.padEnd(3)}  ${words}`;
  return [...gap, printable(`${time}  ${tenant}/${peer}  ${said}`)];
}

function pathLines(path: BgpPathExplanation, palette: Palette): string[] {
  const { peer, best, why, step, stale, nextHopUsable, nextHopWhy, attributes } = path;
  const mark = best ? palette.good('>') : ' ';
  const lost = step === undefined || why.includes(step) ? '' : ` (${step})`;
  const more = moreOf(attributes);
  return [
    `${mark} ${printable(`from ${peer}${stale ? ', stale' : ''}: ${why}${lost}`)}`,
    ...[
      `path ${attributes.asPath || 'empty'}, origin ${attributes.origin}${preferences(attributes)}`,
      `next hop ${attributes.nextHop}${nextHopUsable ? '' : ' cannot be used'}: ${nextHopWhy}`,
      ...(more === '' ? [] : [more]),
    ].map((line) => `    ${printable(line)}`),
  ];
}

function preferences({ localPreference, med, weight }: Words): string {
  const parts: readonly (readonly [string, number | undefined])[] = [
    ['local preference', localPreference],
    ['MED', med],
    ['weight', weight === 0 ? undefined : weight],
  ];
  return parts.flatMap(([name, value]) => (value === undefined ? [] : [`, ${name} ${value}`])).join('');
}

const ORIGIN = { igp: 'i', egp: 'e', incomplete: '?' } as const;

/** Next hop, metric, local preference, weight, and the path with the mark of its origin. */
const usual = ({ nextHop, med, localPreference, weight, asPath, origin }: Words): Cell[] => [
  nextHop,
  med ?? '',
  localPreference ?? '',
  weight,
  `${asPath} ${ORIGIN[origin as keyof typeof ORIGIN] ?? origin}`.trimStart(),
];

function moreOf({ communities, originatorId, clusterList, others }: Words): string {
  return [
    ...(communities.length === 0 ? [] : [`communities ${communities.join(' ')}`]),
    ...(originatorId === undefined ? [] : [`originator ${originatorId}`]),
    ...(clusterList === undefined ? [] : [`clusters ${clusterList.join(' ')}`]),
    ...others,
  ].join('; ');
}

const left = (...titles: string[]): Column[] => titles.map((title) => ({ title }));
const right = (...titles: string[]): Column[] => titles.map((title) => ({ title, align: 'right' }));
