/**
 * A peer that says exactly what it is told, right or wrong, and waits for exactly what is expected: for testers of BGP.
 *
 * What it sends may be octets, headers that lie, or records, in segments of any length. What it receives is framed by the same codec as
 * the speaker's and kept in order: an expectation is about the next message, so nothing is overlooked. KEEPALIVEs alone are passed over by
 * expectations of others.
 * Limits: MOST_KEPT messages wait to be expected; the connection is aborted beyond that.
 * Invariant: every expectation comes to an end, by `patience` of the clock at the latest; its error tells what came in its place.
 */
import { type Bytes, concat, EMPTY, type Millis, toHex } from '../../core/index.ts';
import {
  type CodecContext,
  decodeControlMessage,
  decodeUpdate,
  encodeControlMessage,
  encodeUpdate,
  type Family,
  Framer,
  IPV4_UNICAST,
  KEEPALIVE,
  MARKER,
  MAXIMUM_LENGTH,
  MESSAGE,
  type Message,
  type NotificationMessage,
  notification,
  type OpenMessage,
  type UpdateMessage,
} from '../message/index.ts';
import { asOf, negotiate } from '../session/negotiate.ts';
import { matches, type Partially, wordsForMessage } from './match.ts';
import type { Clock, OctetStream } from './stream.ts';

export interface ScriptOptions {
  /** How long an expectation waits. */
  readonly patience?: Millis;
  /** How UPDATEs are read and written, whatever the OPENs say. */
  readonly context?: Partial<CodecContext>;
}

/** A header that may lie. */
export interface HeaderChanges {
  readonly marker?: Bytes;
  readonly length?: number;
}

export class ScriptedPeer {
  /** How UPDATEs are read and written: as both OPENs settle it, once they are there. */
  receives: CodecContext;
  sends: CodecContext;
  readonly #fixed: Partial<CodecContext>;
  #ours: OpenMessage | undefined;
  #theirs: OpenMessage | undefined;
  readonly #stream: OctetStream;
  readonly #clock: Clock;
  readonly #patience: Millis;
  readonly #framer = new Framer();
  readonly #messages: Message[] = [];
  #closed: string | undefined;
  #wake: () => void = () => {};

  constructor(stream: OctetStream, clock: Clock, options: ScriptOptions = {}) {
    this.#stream = stream;
    this.#clock = clock;
    this.#patience = options.patience ?? PATIENCE;
    this.#fixed = options.context ?? {};
    this.receives = this.sends = { ...CONTEXT, ...this.#fixed };
    this.#framer.maximumLength = this.receives.maximumLength;
    stream.attach({ octets: (octets) => this.#receive(octets), closed: (why) => this.#end(why) });
  }

  /** Octets as they are, in one segment. */
  send(...parts: readonly Bytes[]): void {
    this.#stream.write(concat(...parts));
  }

  /** The same octets in segments of these lengths, and what is left in a last one. */
  sendInPieces(octets: Bytes, lengths: readonly number[]): void {
    let at = 0;
    for (const length of lengths) {
      this.#stream.write(octets.subarray(at, at + length));
      at += length;
    }
    this.#stream.write(octets.subarray(at));
  }

  /** Any body under any type; the header is right where it is not said to be otherwise. */
  sendMessage(type: number, body: Bytes, changes: HeaderChanges = {}): void {
    const octets = concat(changes.marker ?? MARKER, new Uint8Array(3), body);
    const length = changes.length ?? octets.length;
    octets.set([length >>> 8, length & 0xff, type], MARKER.length);
    this.send(octets);
  }

  sendOpen(open: Partial<OpenMessage> & Pick<OpenMessage, 'myAs' | 'identifier'>): void {
    const whole: OpenMessage = { kind: 'open', version: 4, holdSeconds: 90, capabilities: [], ...open };
    this.send(encodeControlMessage(whole));
    this.settle(whole);
  }

  /** For an OPEN that was sent as octets: what it says, if it says it. */
  settle(ours: OpenMessage): void {
    this.#ours = ours;
    this.#settle();
  }

  sendKeepalive(): void {
    this.send(encodeControlMessage(KEEPALIVE));
  }

  sendNotification(code: number, subcode: number, data: Bytes = EMPTY): void {
    this.send(encodeControlMessage(notification(code, subcode, data)));
  }

  /** Attributes with whatever flags and in whatever order. */
  sendUpdate(update: Partial<UpdateMessage>): void {
    this.send(encodeUpdate({ kind: 'update', withdrawn: [], attributes: [], nlri: [], ...update }, this.sends));
  }

  close(abort = false): void {
    this.#closed ??= 'closed by the script';
    this.#stream.close(abort);
  }

  async expectOpen(like: Partially<OpenMessage> = {}): Promise<OpenMessage> {
    return (await this.#expect('open', like)) as OpenMessage;
  }

  async expectUpdate(like: Partially<UpdateMessage> = {}): Promise<UpdateMessage> {
    return (await this.#expect('update', like)) as UpdateMessage;
  }

  /** Any number of other UPDATEs and End-of-RIB (RFC 4724 §2), which are the answer. */
  async expectEndOfRib(family: Family = IPV4_UNICAST): Promise<UpdateMessage[]> {
    const before: UpdateMessage[] = [];
    for (;;) {
      const update = await this.expectUpdate();
      if (isEndOfRib(update, family)) return before;
      before.push(update);
    }
  }

  async expectKeepalive(): Promise<void> {
    await this.#expect('keepalive', {});
  }

  async expectRefresh(like: { family?: number; subtype?: number } = {}): Promise<void> {
    await this.#expect('routeRefresh', like);
  }

  async expectNotification(code: number, subcode: number, data?: Bytes): Promise<NotificationMessage> {
    const like = data === undefined ? { code, subcode } : { code, subcode, data };
    return (await this.#expect('notification', like)) as NotificationMessage;
  }

  /** No message but KEEPALIVEs, and no end, for as long. */
  async expectNothing(millis: Millis): Promise<void> {
    const end = this.#clock.now() + millis;
    for (;;) {
      this.#passKeepalives();
      const next = this.#messages[0];
      if (next !== undefined) throw new Error(`expected nothing, came ${wordsForMessage(next)}`);
      if (this.#closed !== undefined) throw new Error(`expected nothing, came the end: ${this.#closed}`);
      if (!(await this.#news(end))) return;
    }
  }

  /** The end of the connection, after which nothing is unexpected. */
  async expectClosed(): Promise<string> {
    const end = this.#clock.now() + this.#patience;
    for (;;) {
      this.#passKeepalives();
      const next = this.#messages[0];
      if (next !== undefined) throw new Error(`expected the end, came ${wordsForMessage(next)}`);
      if (this.#closed !== undefined) return this.#closed;
      if (!(await this.#news(end))) throw new Error(`expected the end, came nothing for ${this.#patience} ms`);
    }
  }

  /** OPEN and KEEPALIVE both ways. */
  async establish(open: Parameters<ScriptedPeer['sendOpen']>[0]): Promise<OpenMessage> {
    const theirs = await this.expectOpen();
    this.sendOpen(open);
    await this.expectKeepalive();
    this.sendKeepalive();
    return theirs;
  }

  async #expect(kind: Message['kind'], like: object): Promise<Message> {
    const end = this.#clock.now() + this.#patience;
    const expected = `${kind} like ${wordsForMessage(like)}`;
    for (;;) {
      if (kind !== 'keepalive') this.#passKeepalives();
      const next = this.#messages.shift();
      if (next !== undefined) {
        if (next.kind === kind && matches(next, like)) return next;
        throw new Error(`expected ${expected}, came ${wordsForMessage(next)}`);
      }
      if (this.#closed !== undefined) throw new Error(`expected ${expected}, came the end: ${this.#closed}`);
      if (!(await this.#news(end))) throw new Error(`expected ${expected}, came nothing for ${this.#patience} ms`);
    }
  }

  #passKeepalives(): void {
    while (this.#messages[0]?.kind === 'keepalive') this.#messages.shift();
  }

  /** True when something came; false at `end`. */
  #news(end: Millis): Promise<boolean> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(Math.max(0, end - this.#clock.now()), () => resolve(false));
      this.#wake = () => {
        cancel();
        resolve(true);
      };
    });
  }

  #receive(octets: Bytes): void {
    this.#framer.push(octets);
    for (let frame = this.#framer.next(); frame !== undefined; frame = this.#framer.next()) {
      if (!frame.ok) return this.#end(`unreadable: ${frame.refusal.why}`);
      const message = this.#decode(frame.type, frame.octets);
      if (message === undefined) return;
      this.#messages.push(message);
      if (this.#messages.length > MOST_KEPT) {
        this.close(true);
        return this.#end(`more than ${MOST_KEPT} messages that nobody expected`);
      }
    }
    this.#wake();
  }

  #decode(type: number, octets: Bytes): Message | undefined {
    let why: string;
    if (type !== MESSAGE.UPDATE) {
      const decoded = decodeControlMessage(octets);
      if (decoded.ok && decoded.value.kind === 'open') {
        this.#theirs = decoded.value;
        this.#settle();
      }
      if (decoded.ok) return decoded.value;
      ({ why } = decoded.refusal);
    } else {
      const decoded = decodeUpdate(octets, this.receives);
      if (decoded.treatment === 'none') return decoded.update;
      why = decoded.faults.map((fault) => fault.why).join('; ');
    }
    this.#end(`unreadable: ${why}: ${toHex(octets.subarray(0, SHOWN_OCTETS))}`);
    return undefined;
  }

  #settle(): void {
    const [ours, theirs] = [this.#ours, this.#theirs];
    if (ours === undefined || theirs === undefined) return;
    const ebgp = asOf(ours) !== asOf(theirs);
    const { receive, send } = negotiate(ours, theirs, ebgp, this.#stream);
    this.receives = { ...receive, ...this.#fixed };
    this.sends = { ...send, ...this.#fixed };
    this.#framer.maximumLength = this.receives.maximumLength;
  }

  #end(why: string): void {
    this.#closed ??= why;
    this.#wake();
  }
}

function isEndOfRib({ withdrawn, attributes, nlri }: UpdateMessage, family: Family): boolean {
  if (withdrawn.length > 0 || nlri.length > 0 || attributes.length > 1) return false;
  const value = attributes[0]?.value;
  if (value === undefined) return family === IPV4_UNICAST;
  return value.name === 'mpUnreach' && value.family === family && value.withdrawn.length === 0;
}

/** How long an expectation waits that says nothing else. */
export const PATIENCE: Millis = 5_000;
const MOST_KEPT = 10_000;
const SHOWN_OCTETS = 64;
const CONTEXT: CodecContext = {
  ebgp: true,
  fourOctetAs: true,
  maximumLength: MAXIMUM_LENGTH,
  addPath: [],
  families: [IPV4_UNICAST],
};
