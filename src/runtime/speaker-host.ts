/**
 * A BGP speaker on the TCP of the host: a listener, the connections of its peers, one timer.
 *
 * A connection is the peer's whose address it comes from; others are refused. Leaves to others: what is done with routes, and who writes logs.
 * Limit: the deadline of the speaker is looked at after each event, so a late timer is late by one event at most.
 */

import type { PeerSettings } from '../bgp/peer-settings.ts';
import type { Clock, OctetStream, StreamTransport } from '../bgp/script/index.ts';
import type { Speaker } from '../bgp/speaker.ts';
import type { SpeakerAction, SpeakerEvent } from '../bgp/speaker-contract.ts';
import { type Endpoint, formatAddress } from '../ip/index.ts';
import { BgpStreams } from './bgp-streams.ts';

export interface SpeakerHostOptions {
  readonly transport: StreamTransport;
  readonly clock: Clock;
  /** Routes and logs. */
  readonly told?: (action: Exclude<SpeakerAction, { do: 'session' }>) => void;
}

export class SpeakerHost {
  readonly speaker: Speaker;
  readonly #options: SpeakerHostOptions;
  readonly #streams = new Map<string, BgpStreams>();
  readonly #names = new Map<string, string>();
  #refused = 0;
  #due = Number.POSITIVE_INFINITY;
  #cancel = (): void => {};

  constructor(speaker: Speaker, options: SpeakerHostOptions) {
    this.speaker = speaker;
    this.#options = options;
  }

  /** Connections of nobody known. */
  get refused(): number {
    return this.#refused;
  }

  listen(at: Endpoint, ready?: (at: Endpoint) => void): () => void {
    return this.#options.transport.accept(at, (stream) => this.#accept(stream), ready);
  }

  /** The session of the peer is started. */
  add(peer: PeerSettings, at: Endpoint): void {
    const { name } = peer;
    this.#names.set(formatAddress(at.address), name);
    this.#streams.set(
      name,
      new BgpStreams(this.#options.transport, at, (event) => this.handle({ type: 'session', peer: name, event })),
    );
    this.handle({ type: 'add-peer', peer });
    this.handle({ type: 'session', peer: name, event: { type: 'start' } });
  }

  handle(event: SpeakerEvent): void {
    const { clock, told } = this.#options;
    for (const action of this.speaker.handle(event, clock.now())) {
      if (action.do === 'session') this.#streams.get(action.peer)?.perform(action.action);
      else told?.(action);
    }
    // Room with a transport never makes anything due earlier, and comes after each write.
    if (event.type !== 'session' || event.event.type !== 'drained') this.#arm();
  }

  /** No connection and no timer is left. */
  leave(): void {
    this.#cancel();
    for (const streams of this.#streams.values()) streams.leave();
  }

  #accept(stream: OctetStream): void {
    const name = this.#names.get(formatAddress(stream.remote.address));
    if (name !== undefined) return this.#streams.get(name)!.accept(stream);
    this.#refused += 1;
    stream.close(true);
  }

  /** A deadline that moves away, as the hold timer does with each message, is met by the timer that runs and set anew then. */
  #arm(): void {
    const at = this.speaker.deadline()?.at ?? Number.POSITIVE_INFINITY;
    if (at >= this.#due || at === Number.POSITIVE_INFINITY) return;
    this.#cancel();
    this.#due = at;
    const { clock } = this.#options;
    this.#cancel = clock.after(Math.max(0, at - clock.now()), () => {
      this.#due = Number.POSITIVE_INFINITY;
      this.handle({ type: 'tick' });
    });
  }
}
