/**
 * What IKE decides, carried out: SAs installed and removed, messages sent, keys handed out where somebody asked.
 * The only place where keys pass from IKE to ESP.
 */
import { ESP_TABLE_FILE, espTableRows, IKE_TABLE_FILE, ikeTableRow } from '../capture/index.ts';
import type { Millis } from '../core/index.ts';
import { assertNever } from '../core/index.ts';
import type { ChildSa, IkeAction, IkeKeysExport } from '../ike/index.ts';
import type { Books } from './books.ts';
import type { PacketPath } from './packets.ts';
import type { Tunnel } from './tunnel.ts';

export class IkeActions {
  readonly #books: Books;
  readonly #path: PacketPath;
  /** Have SAs they had not before. */
  readonly #opened = new Set<Tunnel>();

  constructor(books: Books, path: PacketPath) {
    this.#books = books;
    this.#path = path;
  }

  perform(action: IkeAction, now: Millis): void {
    switch (action.do) {
      case 'send':
        return this.#path.sendIke(action.local, action.remote, action.octets);
      case 'keepalive':
        return this.#path.sendKeepalive(action.local, action.remote);
      case 'install':
        return this.#install(action.child, action.outbound, now);
      case 'activate':
        return this.#withTunnel(action.spiIn, (tunnel) => {
          tunnel.activate(action.spiIn);
          this.#settled(tunnel);
        });
      case 'remove':
        return this.#remove(action.spiIn);
      case 'move':
        return this.#withTunnel(action.spiIn, (tunnel) => {
          const { localEndpoint, remoteEndpoint, udpEncapsulation } = action;
          tunnel.sas.get(action.spiIn)?.outbound.move(localEndpoint, remoteEndpoint, udpEncapsulation);
          this.#settled(tunnel);
        });
      case 'unreachable': {
        const tunnel = this.#books.tunnels.get(action.connection);
        if (tunnel !== undefined) this.#path.giveUp(tunnel, now);
        return;
      }
      case 'keys':
        if (this.#books.keysEnabled) this.exportIke(action.keys);
        return;
      case 'report':
        return this.#report(action);
      case 'done':
        return this.#books.emit({ do: 'done' });
      default:
        return assertNever(action);
    }
  }

  /**
   * After the last action of one event: what waited goes. Not before, because the peer has its SA only once it has the message
   * that stands behind `install` in the list.
   */
  flush(now: Millis): void {
    for (const tunnel of [...this.#opened]) {
      this.#opened.delete(tunnel);
      if (tunnel.up) this.#path.flush(tunnel, now);
    }
  }

  exportIke(keys: IkeKeysExport): void {
    this.#books.emit({ do: 'key', table: IKE_TABLE_FILE, row: ikeTableRow(keys, FOR_WIRESHARK) });
  }

  exportChild(child: ChildSa): void {
    for (const row of espTableRows(child, FOR_WIRESHARK)) this.#books.emit({ do: 'key', table: ESP_TABLE_FILE, row });
  }

  #install(child: ChildSa, outbound: 'active' | 'standby', now: Millis): void {
    const books = this.#books;
    const tunnel = books.tunnels.get(child.connection);
    // The connection went, or became another, while the exchange was under way: IKE deletes the SA, nothing passes on it.
    if (tunnel === undefined || !this.#known(tunnel).has(child.spiIn)) return;
    tunnel.install(child, outbound, books.sad, books.engine, books.random, now);
    books.bySpi.set(child.spiIn, tunnel);
    if (books.keysEnabled) this.exportChild(child);
    this.#settled(tunnel);
  }

  #remove(spiIn: number): void {
    this.#withTunnel(spiIn, (tunnel) => {
      this.#books.bySpi.delete(spiIn);
      tunnel.remove(spiIn, this.#books.sad);
      this.#settled(tunnel);
    });
  }

  /** Phases, MTU, waiting packets and whoever watches follow the SAs. */
  #settled(tunnel: Tunnel): void {
    const known = this.#known(tunnel);
    for (const [spiIn, sa] of tunnel.sas) if (known.get(spiIn) !== true) sa.phase = 'draining';
    tunnel.tenant.compartment.setMtu(tunnel.interface, tunnel.mtu);
    if (tunnel.waiting.length > 0) this.#opened.add(tunnel);
    this.#books.changed(tunnel);
  }

  /**
   * The Child SAs that IKE has, by inbound SPI, and whether they may be sent on: one that is being deleted, or was replaced and
   * is known no more, only receives for a moment.
   */
  #known(tunnel: Tunnel): ReadonlyMap<number, boolean> {
    const known = new Map<number, boolean>();
    for (const { phase, children } of this.#books.ike.connections.get(tunnel.name)?.sas ?? [])
      for (const { sa, deleting } of children) known.set(sa.spiIn, phase !== 'closing' && !deleting);
    return known;
  }

  #report(action: Extract<IkeAction, { do: 'report' }>): void {
    this.#books.emit(action);
    const name = action.report.connection;
    const tunnel = name === undefined ? undefined : this.#books.tunnels.get(name);
    if (tunnel !== undefined && action.report.level !== 'debug') this.#books.changed(tunnel);
  }

  #withTunnel(spiIn: number, act: (tunnel: Tunnel) => void): void {
    const tunnel = this.#books.bySpi.get(spiIn);
    if (tunnel !== undefined) act(tunnel);
  }
}

const FOR_WIRESHARK = { forWireshark: true } as const;
