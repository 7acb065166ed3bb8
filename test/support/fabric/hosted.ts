/**
 * A gateway whose data planes are hosted elsewhere, as by worker threads: commands go to them, events come back, and one of them
 * may be lost. From outside it is a gateway like any other.
 */
import type { Deadline, Millis, Random } from '../../../src/core/index.ts';
import { earliest } from '../../../src/core/index.ts';
import { defaultEngine } from '../../../src/crypto/index.ts';
import {
  DataPlane,
  Gateway,
  type GatewayAction,
  type GatewayEvent,
  type PlaneOutput,
  SharedCells,
  slotOf,
} from '../../../src/gateway/index.ts';
import { octetsOf, type PacketPool } from '../../../src/ip/index.ts';

const NATT_PORT = 4500;

interface Port {
  readonly tenant: string;
  readonly interface: string;
  readonly plane: number;
  readonly port: number;
}

export class HostedGateway {
  readonly inner: Gateway;
  readonly planes: DataPlane[];
  readonly #random: Random;
  readonly #pool: PacketPool;
  readonly #cells = new SharedCells();
  readonly #ports = new Map<string, Port>();
  #out: GatewayAction[] = [];

  constructor(random: Random, pool: PacketPool, planes: number) {
    this.#random = random;
    this.#pool = pool;
    this.inner = new Gateway({ random, pool, remote: { cells: this.#cells, planes } });
    this.planes = Array.from({ length: planes }, (_, plane) => this.#plane(plane, planes));
  }

  handle(event: GatewayEvent, now: Millis): readonly GatewayAction[] {
    switch (event.type) {
      case 'packet': {
        const port = this.#ports.get(`${event.tenant}/${event.interface}`);
        if (port === undefined) this.#pool.release(event.packet);
        else this.planes[port.plane]!.packet(port.port, event.packet, now);
        break;
      }
      case 'underlay':
        this.planes[0]!.underlay(event.remote, event.packet, now);
        break;
      case 'udp': {
        const natt = event.local.port === NATT_PORT;
        this.#steer(octetsOf(event.packet), natt).udp(event.local, event.remote, event.packet, event.tos, natt, now);
        break;
      }
      case 'esp': {
        const [local, remote] = [event.local, event.remote].map((address) => ({ address, port: 0 }));
        this.#steer(octetsOf(event.packet), true).esp(local!, remote!, event.packet, event.tos, now);
        break;
      }
      case 'tick':
        for (const plane of this.planes) plane.tick(now);
        this.#take(this.inner.handle(event, now), now);
        break;
      case 'plane-restarted':
        this.planes[event.plane] = this.#plane(event.plane, this.planes.length);
        this.#take(this.inner.handle(event, now), now);
        break;
      default:
        this.#take(this.inner.handle(event, now), now);
    }
    this.#settle(now);
    const out = this.#out;
    this.#out = [];
    return out;
  }

  deadline(): Deadline | undefined {
    return this.planes.reduce<Deadline | undefined>(
      (soonest, plane) => earliest(soonest, plane.deadline()),
      this.inner.deadline(),
    );
  }

  status = (now: Millis) => this.inner.status(now);
  tenants = () => this.inner.tenants();
  connections = (now: Millis) => this.inner.connections(now);
  compartment = (tenant: string) => this.inner.compartment(tenant);

  #plane(plane: number, planes: number): DataPlane {
    return new DataPlane({
      pool: this.#pool,
      random: this.#random,
      engine: defaultEngine,
      cells: this.#cells,
      slot: slotOf(plane),
      spis: { modulus: planes, residue: plane },
      output: this.#output(plane),
    });
  }

  #output(plane: number): PlaneOutput {
    return {
      datagram: (udp, local, remote, packet, tos, dontFragment) => {
        const rest = { packet, tos, dontFragment };
        if (udp) this.#out.push({ do: 'udp', local, remote, ...rest });
        else this.#out.push({ do: 'esp', local: local.address, remote: remote.address, ...rest });
      },
      underlay: (local, remote, packet) => void this.#out.push({ do: 'underlay', local, remote, packet }),
      packet: (number, packet) => {
        const port = [...this.#ports.values()].find((each) => each.plane === plane && each.port === number);
        if (port === undefined) this.#pool.release(packet);
        else this.#out.push({ do: 'packet', tenant: port.tenant, interface: port.interface, packet });
      },
    };
  }

  /** By the SPI, as the kernel does it; IKE goes anywhere. */
  #steer(octets: Uint8Array, esp: boolean): DataPlane {
    const spi = new DataView(octets.buffer, octets.byteOffset, octets.length).getUint32(0);
    return this.planes[esp ? spi % this.planes.length : 0]!;
  }

  #settle(now: Millis): void {
    for (let some = true; some; ) {
      some = false;
      for (const plane of this.planes) {
        plane.flush(now);
        for (const event of plane.takeEvents()) {
          some = true;
          this.#take(this.inner.handle({ type: 'plane', event }, now), now);
        }
      }
    }
  }

  #take(actions: readonly GatewayAction[], now: Millis): void {
    for (const action of actions) {
      if (action.do === 'plane') {
        this.planes[action.plane]!.command(action.command, now);
        continue;
      }
      if (action.do === 'open-interface') {
        const { tenant, plane, port, config } = action;
        this.#ports.set(`${tenant}/${config.name}`, { tenant, interface: config.name, plane, port });
      } else if (action.do === 'close-interface') this.#ports.delete(`${action.tenant}/${action.interface}`);
      this.#out.push(action);
    }
  }
}
