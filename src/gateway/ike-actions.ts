/**
 * What IKE decides, carried out: SAs installed and removed, messages sent, keys handed out where somebody asked.
 * The only place where keys pass from IKE to ESP.
 */
import { ESP_TABLE_FILE, espTableRows, IKE_TABLE_FILE, ikeTableRow } from '../capture/index.ts';
import { assertNever, type Bytes, type Millis } from '../core/index.ts';
import { KEEPALIVE_OCTET, NON_ESP_MARKER_LENGTH } from '../esp/index.ts';
import type { ChildSa, IkeAction, IkeKeysExport } from '../ike/index.ts';
import { DROP, type Endpoint } from '../ip/index.ts';
import type { Books } from './books.ts';
import type { SaPair } from './dataplane/index.ts';
import type { Tunnel } from './tunnel.ts';

export class IkeActions {
  readonly #books: Books;
  readonly #heard: (tunnel: Tunnel, now: Millis) => void;
  /** Their SAs changed: what waits may go. */
  readonly #opened = new Set<Tunnel>();

  /** `settled` hears of every change of a tunnel's SAs. */
  constructor(books: Books, settled: (tunnel: Tunnel, now: Millis) => void) {
    this.#books = books;
    this.#heard = settled;
  }

  perform(action: IkeAction, now: Millis): void {
    switch (action.do) {
      case 'send':
        return this.#send(action.local, action.remote, action.octets, this.#markerLength(action.local));
      case 'keepalive':
        return this.#send(action.local, action.remote, KEEPALIVE, 0);
      case 'install':
        return this.#install(action.child, action.outbound, now);
      case 'activate':
        return this.#withTunnel(action.spiIn, (tunnel) => {
          tunnel.tenant.command({ do: 'phase', spiIn: action.spiIn, phase: 'active' });
          this.#settled(tunnel);
        });
      case 'remove':
        return this.#remove(action.spiIn);
      case 'move':
        return this.#withTunnel(action.spiIn, (tunnel) => {
          const { spiIn, localEndpoint, remoteEndpoint, udpEncapsulation } = action;
          tunnel.tenant.command({ do: 'move', spiIn, localEndpoint, remoteEndpoint, udpEncapsulation });
          this.#settled(tunnel);
        });
      case 'unreachable': {
        const tunnel = this.#books.tunnels.get(action.connection);
        tunnel?.tenant.command({ do: 'give-up', tunnel: tunnel.index });
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
  flush(): void {
    for (const { index, tenant } of this.#opened) tenant.command({ do: 'flush', tunnel: index });
    this.#opened.clear();
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
    const cells = { cellsIn: books.takeSlot(), cellsOut: books.takeSlot() };
    tunnel.children.set(child.spiIn, { sa: child, installedAt: now, ...cells });
    books.bySpi.set(child.spiIn, tunnel);
    tunnel.tenant.command({ do: 'install', sa: this.#pair(tunnel, child, cells), phase: outbound });
    if (books.keysEnabled) this.exportChild(child);
    this.#settled(tunnel);
  }

  #pair(tunnel: Tunnel, child: ChildSa, cells: { readonly cellsIn: number; readonly cellsOut: number }): SaPair {
    const { spiIn, spiOut, suite, local, remote, localEndpoint, remoteEndpoint, udpEncapsulation, peerMoves } = child;
    const octets = ({ encryption, integrity }: ChildSa['keysIn']) => ({
      encryption: encryption.reveal(),
      integrity: integrity.reveal(),
    });
    return {
      tunnel: tunnel.index,
      spiIn,
      spiOut,
      encryption: suite.encryption,
      integrity: suite.integrity,
      keysIn: octets(child.keysIn),
      keysOut: octets(child.keysOut),
      esn: suite.esn,
      replayWindow: tunnel.config.child.replayWindow,
      lifetime: tunnel.lifetime(this.#books.random),
      local,
      remote,
      localEndpoint,
      remoteEndpoint,
      udpEncapsulation,
      peerMoves,
      ...cells,
    };
  }

  #remove(spiIn: number): void {
    this.#withTunnel(spiIn, (tunnel) => {
      const books = this.#books;
      const gone = tunnel.children.get(spiIn);
      tunnel.children.delete(spiIn);
      books.bySpi.delete(spiIn);
      tunnel.tenant.command({ do: 'remove', spiIn });
      if (gone !== undefined) for (const slot of [gone.cellsIn, gone.cellsOut]) books.giveSlot(slot);
      this.#settled(tunnel);
    });
  }

  /** Phases, waiting packets and whoever watches follow the SAs. */
  #settled(tunnel: Tunnel): void {
    const known = this.#known(tunnel);
    for (const [spiIn, sa] of tunnel.plane?.sas ?? [])
      if (known.get(spiIn) !== true && sa.phase !== 'draining')
        tunnel.tenant.command({ do: 'phase', spiIn, phase: 'draining' });
    this.#opened.add(tunnel);
    this.#heard(tunnel, this.#books.now);
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

  /** The marker goes in front on the NAT-T port (RFC 3948 §2.2). */
  #markerLength(local: Endpoint): number {
    const { ports } = this.#books.resolved?.document.gateway.external ?? {};
    return local.port === ports?.natt ? NON_ESP_MARKER_LENGTH : 0;
  }

  #send(local: Endpoint, remote: Endpoint, octets: Bytes, marker: number): void {
    const { pool, plane } = this.#books;
    const packet = pool.from(octets);
    if (packet === undefined) {
      plane.drops[DROP.noBuffer]! += 1;
      return;
    }
    packet.start -= marker;
    packet.buf.fill(0, packet.start, packet.start + marker);
    this.#books.sendUdp(local, remote, packet);
  }

  #withTunnel(spiIn: number, act: (tunnel: Tunnel) => void): void {
    const tunnel = this.#books.bySpi.get(spiIn);
    if (tunnel !== undefined) act(tunnel);
  }
}

const KEEPALIVE = Uint8Array.of(KEEPALIVE_OCTET);
const FOR_WIRESHARK = { forWireshark: true } as const;
