/**
 * `bgp replay`: an MRT file as a peer of any BGP daemon.
 *
 * The file is read twice: for whose routes are in it, then for the routes. What is said is `bgp/mrt`'s, the session `runtime/`'s.
 * Exit codes: 0 all was said (or Ctrl-C ended it), 1 the file or the session failed, 2 usage.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { envelope } from '../api/envelope.ts';
import { describeFamily } from '../bgp/message/index.ts';
import { encodeEndOfRib, MrtReplay, MrtSurvey, type PeerSurvey, SKIPPED, type Skipped } from '../bgp/mrt/index.ts';
import { Session, type SessionConfiguration, sessionConfiguration } from '../bgp/session/index.ts';
import { u32, WireError } from '../core/index.ts';
import { type Address, formatAddress, formatEndpoint, ipv4Octets } from '../ip/index.ts';
import { BgpAnnouncer, SessionEnded } from '../runtime/bgp-announcer.ts';
import { realClock, tcpTransport } from '../runtime/bgp-transport.ts';
import { monotonicMillis, systemRandom } from '../runtime/clock.ts';
import { mrtRecords } from '../runtime/mrt-file.ts';
import { addressOf, endpointOf, hopsOf, wrong } from './bgp-replay-flags.ts';
import { type Call, CliError, EXIT, type Exit, printJson, printLines, wantsJson } from './io.ts';
import { formatOctets, paletteFor, printable, table } from './text.ts';

export async function replay(call: Call): Promise<Exit> {
  const file = call.args[0]!;
  const survey = await surveyOf(file, call);
  if (call.io.signal.aborted) return EXIT.ok;
  if (call.options.list === true) return list(call, survey);
  const to = endpointOf(call.options.to);
  const peer = chosen(survey, call.options.peer);
  const configuration = configurationOf(peer, call);
  const hops = hopsOf(call.options.nextHop);
  const from = call.options.source === undefined ? {} : { from: addressOf(call.options.source, '--source') };
  const announcer = new BgpAnnouncer(
    new Session(configuration, systemRandom),
    to,
    tcpTransport({ ...from, problem: () => {} }),
    realClock,
  );
  const stop = (): void => announcer.stop('interrupted');
  call.io.signal.addEventListener('abort', stop, { once: true });
  try {
    const said = await say(call, file, peer, hops, announcer);
    report(call, peer, said, announcer);
    await stay(call, announcer);
    announcer.stop('the replay is over');
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof SessionEnded)) throw error;
    if (call.io.signal.aborted) return EXIT.ok;
    throw new CliError(
      EXIT.error,
      'session',
      `the session with ${formatEndpoint(to)} ended: ${printable(error.message)}`,
      `We are AS ${configuration.asn} with identifier ${formatAddress(ipv4Octets(configuration.identifier))}: does the peer expect that?`,
    );
  } finally {
    call.io.signal.removeEventListener('abort', stop);
    announcer.stop('the replay has failed');
  }
}

interface Said {
  readonly replay: MrtReplay;
  readonly damaged: number;
  readonly milliseconds: number;
}

/** Resolves when everything has left this host. */
async function say(
  call: Call,
  file: string,
  peer: PeerSurvey,
  hops: readonly Address[] | 'own',
  announcer: BgpAnnouncer,
): Promise<Said> {
  const negotiated = await announcer.established();
  const nextHops = hops === 'own' ? [negotiated.localEndpoint.address] : hops;
  const mrt = new MrtReplay({ peer, send: negotiated.send, nextHops });
  const begun = monotonicMillis();
  const progress = new Progress(call, peer.routes > 0 ? `of ${peer.routes} routes` : `of ${peer.updates} messages`);
  const pace = new Pace(call);
  let damaged = 0;
  for await (const record of records(file)) {
    if (!record.ok) damaged += 1;
    else {
      const messages = mrt.take(record.value);
      if (messages.length > 0 && record.value.kind === 'message') await pace.wait(record.value.time);
      for (const message of messages) await announcer.send(message);
    }
    progress.show(peer.routes > 0 ? mrt.routes : mrt.messages);
  }
  for (const message of mrt.end()) await announcer.send(message);
  if (peer.routes > 0)
    for (const family of negotiated.families)
      if (peer.families.has(family)) await announcer.send(encodeEndOfRib(family));
  await announcer.drained();
  progress.end();
  return { replay: mrt, damaged, milliseconds: monotonicMillis() - begun };
}

async function stay(call: Call, announcer: BgpAnnouncer): Promise<void> {
  const { stay: seconds } = call.options;
  const { signal } = call.io;
  const over =
    seconds === undefined
      ? new Promise<never>(() => {})
      : delay(Number(seconds) * 1000, undefined, { signal, ref: false }).catch(() => {});
  const why = await Promise.race([over, announcer.ended]);
  if (typeof why === 'string') throw new SessionEnded(why);
}

function report(
  call: Call,
  peer: PeerSurvey,
  { replay: mrt, damaged, milliseconds }: Said,
  announcer: BgpAnnouncer,
): void {
  const skipped = Object.entries(mrt.skipped).filter(([, count]) => count > 0) as [Skipped, number][];
  if (wantsJson(call)) {
    const { routes, messages } = mrt;
    const item = {
      peer: { asn: peer.asn, address: formatAddress(peer.address) },
      routes,
      messages,
      octets: announcer.octets,
      milliseconds: Math.round(milliseconds),
      damaged,
      skipped: Object.fromEntries(skipped),
    };
    return printJson(call.io, envelope('bgpReplay', [item]));
  }
  const rest = skipped.map(([why, count]) => `${count} left out ${SKIPPED[why]}`);
  if (damaged > 0) rest.push(`${damaged} records that cannot be read`);
  printLines(call.io.stdout, [
    `${mrt.routes} routes of AS ${peer.asn} ${formatAddress(peer.address)} in ${mrt.messages} messages, ` +
      `${formatOctets(announcer.octets)}, ${(milliseconds / 1000).toFixed(2)} s`,
    ...rest,
  ]);
  if (call.options.stay === undefined) printLines(call.io.stderr, ['the session stays; Ctrl-C ends it']);
}

async function surveyOf(file: string, call: Call): Promise<MrtSurvey> {
  const survey = new MrtSurvey();
  const progress = new Progress(call, 'records read');
  for await (const record of records(file)) {
    if (call.io.signal.aborted) break;
    if (record.ok) survey.add(record.value);
    progress.show(survey.records);
  }
  progress.end();
  return survey;
}

/** What is wrong with the file, in a sentence. */
async function* records(file: string): ReturnType<typeof mrtRecords> {
  try {
    yield* mrtRecords(file);
  } catch (error) {
    if (error instanceof WireError)
      throw new CliError(EXIT.error, 'file', `${file} cannot be read at octet ${error.at}: ${error.problem}`, '');
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    const exit = code === 'EACCES' ? EXIT.permission : EXIT.error;
    throw new CliError(exit, 'file', `${file} cannot be read: ${message}`, '');
  }
}

function list(call: Call, survey: MrtSurvey): Exit {
  const peers = survey.peers.map((peer, number) => ({
    peer: number,
    asn: peer.asn,
    address: formatAddress(peer.address),
    identifier: formatAddress(ipv4Octets(peer.identifier)),
    routes: peer.routes,
    updates: peer.updates,
    families: [...peer.families].map(describeFamily),
    addPath: [...peer.addPath].map(describeFamily),
  }));
  if (wantsJson(call)) printJson(call.io, envelope('bgpReplayPeers', peers));
  else
    printLines(
      call.io.stdout,
      table(
        [
          { title: 'PEER', align: 'right' },
          { title: 'AS', align: 'right' },
          { title: 'ADDRESS' },
          { title: 'ROUTES', align: 'right' },
          { title: 'UPDATES', align: 'right' },
          { title: 'FAMILIES' },
        ],
        peers.map((p) => [p.peer, p.asn, p.address, p.routes, p.updates, p.families.join(', ')]),
        paletteFor(call.io),
      ),
    );
  return EXIT.ok;
}

function chosen(survey: MrtSurvey, wanted: unknown): PeerSurvey {
  const saying = survey.peers.filter(({ routes, updates }) => routes + updates > 0);
  const [only] = saying;
  if (only === undefined)
    throw new CliError(
      EXIT.error,
      'empty',
      `none of ${survey.records} records has routes or UPDATEs of a peer`,
      'Is it an MRT file?',
    );
  if (wanted === undefined) {
    if (saying.length === 1) return only;
    throw wrong(
      `${saying.length} peers have routes or messages in the file`,
      'Choose one with --peer; --list shows them.',
    );
  }
  const text = String(wanted);
  const found = survey.peers.filter(
    ({ address }, number) => text === String(number) || text === formatAddress(address),
  );
  if (found.length === 1) return found[0]!;
  throw wrong(`--peer ${text} is ${found.length === 0 ? 'nobody' : 'more than one'} in the file`, '--list shows them.');
}

function configurationOf(peer: PeerSurvey, { options }: Call): SessionConfiguration {
  const asn = options.asn === undefined ? peer.asn : Number(options.asn);
  if (asn === 0) throw wrong('the recorded peer has no AS number', 'Give ours with --asn.');
  const address = options.routerId === undefined ? undefined : addressOf(options.routerId, '--router-id');
  if (address?.length === 16)
    throw wrong('--router-id is an IPv6 address', 'A BGP Identifier is written as an IPv4 address.');
  const own =
    address ?? (peer.identifier === 0 && peer.address.length === 4 ? peer.address : ipv4Octets(peer.identifier));
  const identifier = u32(own, 0);
  if (identifier === 0)
    throw wrong('the file does not say which BGP Identifier the peer had', 'Give ours with --router-id.');
  const narrow = peer.routes === 0 && peer.twoOctetUpdates === peer.updates;
  if (narrow && asn > 0xffff)
    throw wrong('the recorded session had AS numbers of two octets', 'Give such a one with --asn.');
  return sessionConfiguration({
    asn,
    identifier,
    remoteAs: 'any',
    automaticStart: false,
    families: [...peer.families],
    addPath: [...peer.addPath].map((family) => ({ family, mode: SEND_PATHS })),
    fourOctetAs: !narrow,
    ...(options.hold === undefined ? {} : { holdSeconds: Number(options.hold) }),
  });
}

/** A line on a terminal that is written over twice a second. */
class Progress {
  readonly #call: Call;
  readonly #what: string;
  #shown = monotonicMillis();
  #dirty = false;

  constructor(call: Call, what: string) {
    this.#call = call;
    this.#what = what;
  }

  show(count: number): void {
    if (this.#call.io.stderr.isTTY !== true || monotonicMillis() - this.#shown < PROGRESS_MILLIS) return;
    this.#shown = monotonicMillis();
    this.#dirty = true;
    this.#call.io.stderr.write(`\r\u001b[K${count} ${this.#what}`);
  }

  end(): void {
    if (this.#dirty) this.#call.io.stderr.write('\r\u001b[K');
  }
}

/** Messages at the times they were recorded. */
class Pace {
  readonly #speed: number | undefined;
  readonly #signal: AbortSignal;
  #recorded: number | undefined;
  readonly #begun = monotonicMillis();

  constructor({ options, io }: Call) {
    this.#speed = options.speed === undefined ? undefined : Number(options.speed);
    this.#signal = io.signal;
  }

  async wait({ seconds, micros = 0 }: { readonly seconds: number; readonly micros?: number }): Promise<void> {
    if (this.#speed === undefined) return;
    const at = seconds * 1000 + micros / 1000;
    this.#recorded ??= at;
    const due = this.#begun + (at - this.#recorded) / this.#speed - monotonicMillis();
    if (due > 1) await delay(Math.min(due, MOST_MILLIS), undefined, { signal: this.#signal }).catch(() => {});
  }
}

/** RFC 7911 §4. */
const SEND_PATHS = 2;
const PROGRESS_MILLIS = 500;
/** What a timer takes. */
const MOST_MILLIS = 0x7fffffff;
