/**
 * The connections of one BGP session on a host: dials, accepts, writes and closes what a `Session` or `Speaker` says, and tells it what came.
 *
 * Leaves to others: whose a connection is (whoever listens hands it over), and the clock.
 */
import type { ConnectionId, SessionAction, SessionEvent } from '../bgp/contract.ts';
import type { OctetStream, StreamTransport } from '../bgp/script/index.ts';
import type { Endpoint } from '../ip/index.ts';

export type StreamAction = Extract<SessionAction, { do: 'dial' | 'send' | 'close' }>;
export type StreamEvent = Extract<SessionEvent, { type: 'connected' | 'received' | 'drained' | 'closed' }>;

export class BgpStreams {
  readonly #transport: StreamTransport;
  readonly #peer: Endpoint;
  readonly #tell: (event: StreamEvent) => void;
  readonly #streams = new Map<ConnectionId, OctetStream>();
  readonly #dials = new Map<ConnectionId, () => void>();
  #accepted = 0;

  /** `peer` is who is dialled. */
  constructor(transport: StreamTransport, peer: Endpoint, tell: (event: StreamEvent) => void) {
    this.#transport = transport;
    this.#peer = peer;
    this.#tell = tell;
  }

  perform(action: StreamAction): void {
    const { connection } = action;
    if (action.do === 'dial') return this.#dial(connection);
    if (action.do === 'send') return this.#streams.get(connection)?.write(action.octets);
    this.#streams.get(connection)?.close(action.abort);
    this.#streams.delete(connection);
    this.#dials.get(connection)?.();
    this.#dials.delete(connection);
  }

  accept(stream: OctetStream): void {
    this.#up(++this.#accepted, 'in', stream);
  }

  /** Ends whatever is open, with RST. */
  leave(): void {
    for (const stream of this.#streams.values()) stream.close(true);
    for (const giveUp of this.#dials.values()) giveUp();
    this.#streams.clear();
    this.#dials.clear();
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
        this.#tell({ type: 'closed', connection, why });
      },
    );
    this.#dials.set(connection, giveUp);
  }

  #up(connection: ConnectionId, direction: 'out' | 'in', stream: OctetStream): void {
    this.#streams.set(connection, stream);
    const { local, remote } = stream;
    this.#tell({ type: 'connected', connection, direction, local, remote });
    stream.attach({
      octets: (octets) => this.#tell({ type: 'received', connection, octets }),
      drained: (queued) => this.#tell({ type: 'drained', connection, queued }),
      closed: (why) => {
        this.#streams.delete(connection);
        this.#tell({ type: 'closed', connection, why });
      },
    });
  }
}
