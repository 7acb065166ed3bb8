/** A session on a transport and a clock, as a host would have it. */
import type { ConnectionId, SessionAction, SessionEvent } from '../../../src/bgp/contract.ts';
import type { Clock, OctetStream, StreamTransport } from '../../../src/bgp/script/index.ts';
import type { Session } from '../../../src/bgp/session/index.ts';
import type { Endpoint } from '../../../src/ip/index.ts';

export class SessionHost {
  readonly session: Session;
  readonly seen: SessionAction[] = [];
  readonly #transport: StreamTransport;
  readonly #clock: Clock;
  readonly #peer: Endpoint;
  readonly #streams = new Map<ConnectionId, OctetStream>();
  readonly #dials = new Map<ConnectionId, () => void>();
  #accepted = 0;
  #cancel = (): void => {};

  constructor(session: Session, transport: StreamTransport, clock: Clock, peer: Endpoint) {
    this.session = session;
    this.#transport = transport;
    this.#clock = clock;
    this.#peer = peer;
  }

  listen(at: Endpoint): () => void {
    return this.#transport.accept(at, (stream) => this.accept(stream));
  }

  accept(stream: OctetStream): void {
    this.#up(++this.#accepted, 'in', stream);
  }

  handle(event: SessionEvent): void {
    for (const action of this.session.handle(event, this.#clock.now())) this.#perform(action);
    this.#cancel();
    const due = this.session.deadline();
    if (due === undefined) return;
    this.#cancel = this.#clock.after(Math.max(0, due.at - this.#clock.now()), () => this.handle({ type: 'tick' }));
  }

  /** No timer is left. */
  leave(): void {
    this.#cancel();
    for (const stream of this.#streams.values()) stream.close(true);
    for (const giveUp of this.#dials.values()) giveUp();
  }

  #perform(action: SessionAction): void {
    this.seen.push(action.do === 'update' ? { ...action, octets: action.octets.slice() } : action);
    if (action.do === 'dial') this.#dial(action.connection);
    if (action.do === 'send') this.#streams.get(action.connection)!.write(action.octets);
    if (action.do === 'close') {
      this.#streams.get(action.connection)?.close(action.abort);
      this.#streams.delete(action.connection);
      this.#dials.get(action.connection)?.();
      this.#dials.delete(action.connection);
    }
  }

  #dial(connection: ConnectionId): void {
    const giveUp = this.#transport.dial(
      this.#peer,
      (stream) => {
        this.#dials.delete(connection);
        this.#up(connection, 'out', stream);
      },
      (why) => {
        this.#dials.delete(connection);
        this.handle({ type: 'closed', connection, why });
      },
    );
    this.#dials.set(connection, giveUp);
  }

  #up(connection: ConnectionId, direction: 'out' | 'in', stream: OctetStream): void {
    this.#streams.set(connection, stream);
    const { local, remote } = stream;
    this.handle({ type: 'connected', connection, direction, local, remote });
    stream.attach({
      octets: (octets) => this.handle({ type: 'received', connection, octets }),
      drained: (queued) => this.handle({ type: 'drained', connection, queued }),
      closed: (why) => {
        this.#streams.delete(connection);
        this.handle({ type: 'closed', connection, why });
      },
    });
  }
}
