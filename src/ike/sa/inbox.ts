/**
 * From a datagram to the SA it belongs to, and what is answered where there is none.
 *
 * Read first: RFC 7296 §2.1–2.3, §2.5 (versions, critical payloads), §2.6, §2.21. Every datagram that leads to nothing is
 * counted by name. Unprotected errors are answered at a bounded rate.
 */
import { type Bytes, type Millis, parse, sameBytes } from '../../core/index.ts';
import { type Endpoint, formatAddress, formatEndpoint } from '../../ip/index.ts';
import type { CookieJar } from '../cookie.ts';
import { decodeHeader, type IkeHeader, VersionError } from '../header.ts';
import { EXCHANGE, exchangeName, NOTIFY, PAYLOAD, PROTOCOL } from '../iana.ts';
import { decodeMessage, encodeMessage, type Message, type Opened } from '../message.ts';
import { CriticalPayloadError, findNotify, findPayload, type NotifyPayload, type Payload } from '../payload.ts';
import { type Answer, refuse } from './answer.ts';
import { answerAuth } from './answer-auth.ts';
import { answerCreateChild } from './answer-child.ts';
import { answerInformational } from './answer-informational.ts';
import { answerInit, refuseInit } from './answer-init.ts';
import { notify } from './child-sa.ts';
import { peerError, syntaxError } from './failure.ts';
import { type IkeSa, ZERO_SPI } from './ike-sa.ts';
import type { Registry } from './registry.ts';
import { beginClosing } from './task-ike.ts';
import { InitTask } from './task-init.ts';

export interface Datagram {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  readonly octets: Bytes;
}

/** Unprotected error answers a second, whole endpoint: enough for people, too few for reflection. */
const ERRORS_PER_SECOND = 10;

export class Inbox {
  readonly #registry: Registry;
  readonly #cookies: CookieJar;
  #errorSecond = 0;
  #errors = 0;
  /** Shutdown: nothing new is begun. */
  closed = false;

  constructor(registry: Registry, cookies: CookieJar) {
    this.#registry = registry;
    this.#cookies = cookies;
  }

  receive(datagram: Datagram, now: Millis): void {
    const header = parse(() => decodeHeader(datagram.octets));
    if (!header.ok) {
      if (header.error instanceof VersionError) this.#answerVersion(header.error.header, datagram, now);
      return this.#drop('malformed', datagram, header.error.message);
    }
    if (header.value.exchange === EXCHANGE.IKE_SA_INIT) return this.#receiveInit(header.value, datagram, now);
    const { flags, spiI, spiR } = header.value;
    const sa = this.#registry.bySpi(flags.initiator ? spiR : spiI);
    if (
      sa === undefined ||
      sa.initiator === flags.initiator ||
      !sameBytes(spiI, sa.spiI) ||
      !sameBytes(spiR, sa.spiR)
    ) {
      return this.#unknownSa(header.value, datagram, now);
    }
    if (flags.response) this.#receiveResponse(sa, header.value, datagram, now);
    else this.#receiveRequest(sa, header.value, datagram, now);
    if (sa.connection !== undefined) this.#registry.comeBack(sa.connection, now);
  }

  #receiveInit(header: IkeHeader, datagram: Datagram, now: Millis): void {
    const { octets, local, remote } = datagram;
    const registry = this.#registry;
    if (header.messageId !== 0 || header.flags.initiator === header.flags.response)
      return this.#drop('malformed', datagram);
    const message = parse(() => decodeMessage(octets));
    if (header.flags.response) {
      const sa = registry.bySpi(header.spiI);
      const task = sa?.active;
      if (sa === undefined || !(task instanceof InitTask)) return this.#drop('stale', datagram);
      if (!message.ok) return this.#drop('malformed', datagram, message.error.message);
      const { payloads } = message.value;
      const ignored = task.ignores(header.spiR, payloads);
      if (ignored !== undefined) return this.#drop('ignored', datagram, ignored);
      return sa.answered(0, payloads, now, octets);
    }
    const known = registry.byInit(header.spiI, remote);
    if (known !== undefined) {
      const response = known.responses.repeats(octets);
      if (response === undefined) return this.#drop('stale', datagram);
      registry.count('repeated-request');
      return known.send(response, now, datagram);
    }
    if (this.closed) return this.#drop('shutdown', datagram);
    if (sameBytes(header.spiI, ZERO_SPI) || !sameBytes(header.spiR, ZERO_SPI))
      return this.#drop('malformed', datagram, 'SPIs of IKE_SA_INIT');
    if (!message.ok) {
      this.#drop('malformed', datagram, message.error.message);
      if (this.#mayAnswer(now))
        refuseInit(registry, { message: { header, payloads: [] }, ...datagram }, owed(message.error));
      return;
    }
    const candidates = registry.candidates(local.address, remote.address);
    if (candidates.length === 0) return this.#stranger(message.value, datagram, now);
    const { halfOpen } = registry;
    const context = {
      env: registry,
      cookies: this.#cookies,
      halfOpen,
      mayBegin: registry.mayBegin(remote),
      candidates,
    };
    registry.count(`init-${answerInit(context, { message: message.value, octets, local, remote }, now)}`);
  }

  #receiveResponse(sa: IkeSa, header: IkeHeader, datagram: Datagram, now: Millis): void {
    if (header.messageId !== sa.requests.outstandingId) return this.#drop('stale', datagram);
    const opened = sa.open(datagram.octets);
    if (opened.is === 'forged') return this.#drop('forged', datagram, opened.why);
    sa.heard(datagram.local, datagram.remote, now);
    const { connection } = sa;
    if (opened.is === 'malformed') {
      // §2.21: whatever the peer made of our request, it is not known here; only a DELETE clears that up.
      if (sa.active?.kind === 'ike-delete') return sa.close(now, 'malformed response');
      sa.giveUp(header.messageId, now);
      beginClosing(sa, now);
      return this.#registry.fail(connection, syntaxError('us', opened.error.message), now);
    }
    if (sa.phase !== 'auth' && findNotify(opened.payloads, NOTIFY.INVALID_SYNTAX) !== undefined) {
      // §2.21.3: fatal for both ends, without a DELETE.
      sa.close(now, 'the peer could not understand our request (INVALID_SYNTAX)');
      return this.#registry.fail(connection, peerError(NOTIFY.INVALID_SYNTAX, exchangeName(header.exchange)), now);
    }
    sa.answered(header.messageId, opened.payloads, now, datagram.octets);
  }

  #receiveRequest(sa: IkeSa, header: IkeHeader, datagram: Datagram, now: Millis): void {
    const place = sa.responses.classify(header.messageId);
    if (place.is === 'stale') return this.#drop('stale', datagram);
    const opened = sa.open(datagram.octets);
    if (opened.is === 'forged') return this.#drop('forged', datagram, opened.why);
    if (place.is === 'repeat') {
      this.#registry.count('repeated-request');
      return sa.send(place.response, now, datagram);
    }
    sa.heard(datagram.local, datagram.remote, now);
    const answer =
      opened.is === 'malformed' ? this.#malformed(sa, opened, now) : this.#answer(sa, header, opened.payloads, now);
    if (answer === undefined) return this.#drop('unexpected', datagram, exchangeName(header.exchange));
    const response = sa.respond(header.exchange, answer.payloads, now, datagram);
    answer.after?.(now);
    // §2.21.3: whoever is told so gives the SA up, and so do we.
    if (findNotify(answer.payloads, NOTIFY.INVALID_SYNTAX) !== undefined) sa.close(now, 'malformed request');
    if (sa.phase === 'closed') this.#registry.remember(sa, datagram.octets, response, now);
    else sa.pump(now);
  }

  #answer(sa: IkeSa, header: IkeHeader, payloads: readonly Payload[], now: Millis): Answer | undefined {
    if (sa.phase === 'auth')
      return header.exchange === EXCHANGE.IKE_AUTH && !sa.initiator ? answerAuth(sa, payloads, now) : undefined;
    const answer = this.#answerEstablished(sa, header.exchange, payloads, now);
    if (answer !== undefined) return answer;
    this.#registry.note(sa.connection, syntaxError('us', `${exchangeName(header.exchange)} request`), now);
    return refuse(notify(NOTIFY.INVALID_SYNTAX));
  }

  #answerEstablished(sa: IkeSa, exchange: number, payloads: readonly Payload[], now: Millis): Answer | undefined {
    if (exchange === EXCHANGE.INFORMATIONAL) {
      if (findPayload(payloads, PAYLOAD.DELETE)?.protocol === PROTOCOL.ESP) adopt(sa, now);
      return answerInformational(sa, payloads, now);
    }
    if (exchange !== EXCHANGE.CREATE_CHILD_SA) return undefined;
    adopt(sa, now);
    return answerCreateChild(sa, payloads, now);
  }

  /** Authentic, but not to be understood: only an unknown critical payload leaves the SA alive (§2.5, §2.21.3). */
  #malformed(sa: IkeSa, opened: Extract<Opened, { is: 'malformed' }>, now: Millis): Answer {
    const { error } = opened;
    if (error instanceof CriticalPayloadError && sa.phase !== 'auth') return refuse(owed(error));
    this.#registry.note(sa.connection, syntaxError('us', error.message), now);
    return refuse(owed(error), (at) => sa.close(at, 'malformed request'));
  }

  /** §2.21.4: no such IKE SA here. A repeated DELETE is answered from memory, others at a bounded rate. */
  #unknownSa(header: IkeHeader, datagram: Datagram, now: Millis): void {
    const { flags, spiI, spiR, messageId, exchange } = header;
    const registry = this.#registry;
    if (flags.response) return this.#drop('stale', datagram);
    const { local, remote, octets: request } = datagram;
    const kept = registry.farewell(flags.initiator ? spiR : spiI, request);
    if (kept !== undefined) {
      registry.count('repeated-request');
      return registry.emit({ do: 'send', local, remote, octets: kept });
    }
    this.#drop('unknown-spi', datagram);
    if (!this.#mayAnswer(now)) return;
    const answerFlags = { initiator: !flags.initiator, version: false, response: true };
    const octets = encodeMessage({ spiI, spiR, exchange, flags: answerFlags, messageId }, [
      notify(NOTIFY.INVALID_IKE_SPI),
    ]);
    registry.emit({ do: 'send', local, remote, octets });
  }

  /** IKE_SA_INIT between addresses that no connection has. */
  #stranger(message: Message, datagram: Datagram, now: Millis): void {
    this.#registry.count('no-connection');
    if (!this.#mayAnswer(now)) return;
    const way = `from ${formatAddress(datagram.remote.address)} to ${formatAddress(datagram.local.address)}`;
    this.#registry.report('warn', undefined, 'drop', `IKE_SA_INIT ${way}: no connection has these addresses`);
    refuseInit(this.#registry, { message, ...datagram }, notify(NOTIFY.NO_PROPOSAL_CHOSEN));
  }

  /** §2.5: a higher major version is answered with ours, in a message of version 2.0. */
  #answerVersion(header: IkeHeader, { local, remote }: Datagram, now: Millis): void {
    if (header.flags.response || !this.#mayAnswer(now)) return;
    const { spiI, spiR, exchange, messageId } = header;
    const flags = { initiator: !header.flags.initiator, version: false, response: true };
    const octets = encodeMessage({ spiI, spiR, exchange, flags, messageId }, [notify(NOTIFY.INVALID_MAJOR_VERSION)]);
    this.#registry.emit({ do: 'send', local, remote, octets });
  }

  #mayAnswer(now: Millis): boolean {
    const second = Math.floor(now / 1000);
    if (second !== this.#errorSecond) {
      this.#errorSecond = second;
      this.#errors = 0;
    }
    this.#errors += 1;
    if (this.#errors <= ERRORS_PER_SECOND) return true;
    this.#registry.count('error-answer-suppressed');
    return false;
  }

  #drop(why: string, { remote }: Datagram, detail = ''): void {
    this.#registry.count(why);
    this.#registry.report(
      'debug',
      undefined,
      'drop',
      `IKE message from ${formatEndpoint(remote)} dropped: ${why}${detail === '' ? '' : ` (${detail})`}`,
    );
  }
}

/** §2.8.2: a peer that works on its new SA has settled whose rekey counts, even if its answer to ours is still under way. */
function adopt(sa: IkeSa, now: Millis): void {
  if (sa.undecided) sa.successorOf!.handOver(sa, now);
}

/** The notification that an error owes the peer. */
function owed(error: { readonly answer: number | undefined }): NotifyPayload {
  if (error instanceof CriticalPayloadError)
    return notify(NOTIFY.UNSUPPORTED_CRITICAL_PAYLOAD, Uint8Array.of(error.payloadType));
  return notify(error.answer ?? NOTIFY.INVALID_SYNTAX);
}
