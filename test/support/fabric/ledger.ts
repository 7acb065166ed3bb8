/**
 * Who asked what, and where it may arrive: a question at the one station it is meant for, its answer at the one that asked, an
 * ICMP error about either at the one that sent it. Everything else is blamed.
 */
import { type Address, formatAddress, ipVersion, sourceOf } from '../../../src/ip/index.ts';
import { describePacket } from '../packets.ts';
import { type Bytes, text } from './octets.ts';
import type { Station } from './station.ts';

export interface Question {
  readonly from: Station;
  readonly meant: Station | undefined;
  /** `udp 5000 198.51.100.80`: protocol, port or identifier of who asks, destination. */
  readonly what: string;
  /** Times it arrived, and its answer. */
  arrived: number;
  answered: number;
  /** Who was seen asking. */
  seenFrom: string | undefined;
  error: string | undefined;
  mss: number | undefined;
}

export class Ledger {
  readonly questions: Question[] = [];
  /** What must not be. */
  readonly blamed: string[] = [];
  /** Sees each arrival of a question. */
  seen: (question: Question, packet: Bytes) => void = () => {};
  readonly #stations: Station[] = [];

  add(station: Station): void {
    this.#stations.push(station);
  }

  remove(station: Station): void {
    const at = this.#stations.indexOf(station);
    if (at >= 0) this.#stations.splice(at, 1);
  }

  /** The tenant's station with an address, else the one outside all tenants. */
  at(tenant: string, address: Address): Station | undefined {
    const key = formatAddress(address);
    const has = (s: Station): boolean => s.addresses.some((own) => formatAddress(own) === key);
    return (
      this.#stations.find((s) => s.tenant === tenant && has(s)) ??
      this.#stations.find((s) => s.tenant === OUTSIDE && has(s))
    );
  }

  ask(from: Station, meant: Station | undefined, what: string): number {
    this.questions.push({
      from,
      meant,
      what,
      arrived: 0,
      answered: 0,
      seenFrom: undefined,
      error: undefined,
      mss: undefined,
    });
    return this.questions.length - 1;
  }

  /** The question that the words are about, if they may be heard there. */
  heard(at: Station, words: string, packet: Bytes): number | undefined {
    const found = /^#(\d+) (ask|re) /.exec(words);
    const question = found === null ? undefined : this.questions[Number(found[1])];
    if (found === null || question === undefined) return void this.blame(`${at.label} heard nothing of ours: ${words}`);
    const isAnswer = found[2] === 're';
    const expected = isAnswer ? question.from : question.meant;
    if (expected?.label !== at.label) {
      const where = expected === undefined ? 'nowhere' : expected.label;
      return void this.blame(
        `${at.label} heard #${found[1]} (${question.what} of ${question.from.label}), meant for ${where}: ${describePacket(packet)}`,
      );
    }
    if (isAnswer) question.answered += 1;
    else {
      question.arrived += 1;
      question.seenFrom = formatAddress(sourceOf(packet, 0));
      this.seen(question, packet);
    }
    return Number(found[1]);
  }

  /** An ICMP error, with the packet it quotes. */
  error(at: Station, quoted: Bytes, words: string): void {
    const header = ipVersion(quoted, 0) === 4 ? 28 : 48;
    const found = /^#(\d+) (ask|re) /.exec(text(quoted.subarray(header)));
    const question = found === null ? undefined : this.questions[Number(found[1])];
    // What quotes too little says only whose packet it was.
    if (question === undefined) return;
    question.error = words;
    const isAnswer = found![2] === 're';
    const mayBe = isAnswer || at !== question.from ? question.meant : question.from;
    if (mayBe?.label !== at.label) this.blame(`${at.label} heard of #${found![1]}, which it never sent: ${words}`);
  }

  note(question: number, { mss }: { readonly mss: number }): void {
    const noted = this.questions[question];
    if (noted !== undefined) noted.mss = mss;
  }

  blame(what: string): void {
    this.blamed.push(what);
  }
}

/** The tenant of those who are nobody's. */
export const OUTSIDE = 'outside';
