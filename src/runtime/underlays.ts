/**
 * The host's end of the provider network: a socket for each address of the underlay, of this thread or lent to the worker whose data
 * plane has the virtual switch.
 *
 * Leaves to others: which socket that is (`underlay.ts`), what passes (the gateway).
 */
import type { UnderlayConfig } from '../config/index.ts';
import type { GatewayAction, GatewayEvent } from '../gateway/index.ts';
import { formatAddress, type PacketPool } from '../ip/index.ts';
import { type Departures, words } from './departures.ts';
import type { Log } from './log.ts';
import type { SocketOffloadOptions } from './offload.ts';
import type { Outbox } from './outbox.ts';
import type { Readiness } from './readiness.ts';
import { SystemError } from './syscalls.ts';
import { openUnderlay, type Underlay, type UnderlayKind } from './underlay.ts';
import type { Planes } from './worker/planes.ts';

export interface UnderlaysOptions {
  readonly pool: PacketPool;
  readonly log: Log;
  readonly outbox: Outbox;
  readonly departures: Departures;
  readonly readiness: Readiness | undefined;
  /** Undefined: one datagram a call. */
  readonly offload: SocketOffloadOptions | undefined;
  readonly planes: Planes | undefined;
  readonly dispatch: (event: GatewayEvent) => void;
}

/** What `open-underlay` opened. */
interface Opened {
  readonly mine: Underlay[];
  readonly closing: (() => Promise<void>)[];
}

export class Underlays {
  readonly #options: UnderlaysOptions;
  /** Undefined: none is wanted. */
  #opened: Opened | undefined;

  constructor(options: UnderlaysOptions) {
    this.#options = options;
  }

  /** Resolves when the sockets are open or have failed; the gateway has heard which by then. Not wanted any more: neither. */
  async open(plane: number, config: UnderlayConfig): Promise<void> {
    const { departures, log, dispatch } = this.#options;
    const opened: Opened = { mine: [], closing: [] };
    this.#opened = opened;
    await departures.of(NAME);
    if (this.#opened !== opened) return;
    const problem = await this.#open(opened, plane, config).then(() => undefined, words);
    if (this.#opened !== opened) return departures.track(closeAll(opened), NAME);
    if (problem !== undefined) log.error(`cannot reach the underlay: ${problem}`);
    dispatch({ type: 'underlay-state', problem });
  }

  /** Takes over the packet. */
  send({ local, remote, packet }: Extract<GatewayAction, { do: 'underlay' }>): void {
    const underlay = this.#opened?.mine.find((each) => each.isAt(local));
    if (underlay === undefined) this.#options.pool.release(packet);
    else underlay.send(this.#options.outbox, remote, packet);
  }

  close(): void {
    const { outbox, departures } = this.#options;
    const opened = this.#opened;
    this.#opened = undefined;
    outbox.flush();
    if (opened !== undefined) departures.track(closeAll(opened), NAME);
  }

  async #open(
    { mine, closing }: Opened,
    plane: number,
    { addresses, encapsulation, sourcePort }: UnderlayConfig,
  ): Promise<void> {
    const { pool, readiness, offload, planes, dispatch } = this.#options;
    const kind: UnderlayKind = encapsulation === 'nvgre' ? 'ip-47' : 'udp-gre';
    if (kind === 'ip-47' && readiness === undefined)
      throw new SystemError(`IP protocol 47 on ${addresses.map(formatAddress).join()}`, 'ENOSYS', NO_KOFFI);
    const flowPorts = sourcePort === 'flow';
    for (const local of addresses) {
      if (planes !== undefined) {
        const lent = planes.lendUnderlay(plane, { kind, local, flowPorts, offload });
        closing.push(() => lent.close());
        continue;
      }
      const underlay = await openUnderlay({
        kind,
        local,
        flowPorts,
        pool,
        readiness,
        offload,
        receive: (packet, { address }) => dispatch({ type: 'underlay', remote: address, packet }),
      });
      mine.push(underlay);
      closing.push(() => underlay.socket.close());
    }
  }
}

const closeAll = async ({ closing }: Opened): Promise<void> => {
  await Promise.all(closing.splice(0).map((close) => close()));
};

const NO_KOFFI = 'It needs the optional package koffi; without it set `encapsulation: nvgre-udp` in the underlay';
/** Among what departs. */
const NAME = 'underlay';
