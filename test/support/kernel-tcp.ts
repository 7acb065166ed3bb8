/**
 * TCP between the kernel and an endpoint of ours behind a TUN device, and a shim in between that loses and delays packets as a
 * seed says. Both sides send octets that either can make up, and count what they get by its digest.
 *
 *     kernel 10.77.0.1, 2001:db8:77::1 ── TUN ── shim ── TcpHost 10.77.0.2, 2001:db8:77::2
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { seededU32 } from '../../src/core/index.ts';
import {
  type Address,
  octetsOf,
  PacketPool,
  type TcpAction,
  type TcpHost,
  type TcpOptions,
} from '../../src/ip/index.ts';
import { openTun, Readiness, type Tun } from '../../src/runtime/index.ts';
import { addr, pfx } from './packets.ts';
import { PYTHON } from './peers.ts';
import { run, until } from './process.ts';

export const KERNEL = { 4: '10.77.0.1', 6: '2001:db8:77::1' } as const;
export const OURS = { 4: '10.77.0.2', 6: '2001:db8:77::2' } as const;

/** Octets that repeat only after 65521, so that a piece in the wrong place shows. */
export function pattern(length: number): Uint8Array {
  const block = Buffer.concat(
    Array.from({ length: 2048 }, (_, i) => createHash('sha256').update(String(i)).digest()),
  ).subarray(0, 65_521);
  const out = Buffer.alloc(length);
  for (let at = 0; at < length; at += block.length) block.copy(out, at, 0, Math.min(block.length, length - at));
  return out;
}

export const digestOf = (octets: Uint8Array): string => createHash('sha256').update(octets).digest('hex');

export interface Shim {
  /** Of packets, either way. */
  readonly loss: number;
  /** Of packets: they wait two milliseconds, so that others overtake them. */
  readonly late: number;
  readonly seed: number;
}

/** What came of one connection of our side. */
export interface Transfer {
  readonly received: string;
  readonly octets: number;
  readonly closed: string;
}

export class KernelLink {
  readonly host: TcpHost;
  shim: Shim | undefined;
  readonly #pool = new PacketPool(512, 2048);
  readonly #readiness = new Readiness();
  readonly #tun: Tun;
  readonly #timers = new Set<NodeJS.Timeout>();
  #draw = seededU32(1);
  #wake: NodeJS.Timeout | undefined;
  #open = true;
  readonly #sessions = new Map<number, Session>();
  readonly #accepted: Session[] = [];

  constructor(host: TcpHost) {
    this.host = host;
    this.#tun = openTun({
      device: 'bh-tcp',
      mtu: 1500,
      addresses: [pfx(`${KERNEL[4]}/24`), pfx(`${KERNEL[6]}/64`)],
      pool: this.#pool,
      readiness: this.#readiness,
      receive: (packet) => {
        const octets = octetsOf(packet).slice();
        this.#pool.release(packet);
        this.#pass(() => this.#perform(this.host.packet(octets, performance.now())));
      },
    });
  }

  impair(shim: Shim | undefined): void {
    this.shim = shim;
    this.#draw = seededU32(shim?.seed ?? 1);
  }

  dial(family: 4 | 6, port: number, options: TcpOptions, outgoing: Uint8Array): Promise<Transfer> {
    const session = new Session(outgoing);
    const [local, remote] = [addr(OURS[family]), addr(KERNEL[family])];
    const dialled = this.host.connect(
      { address: local, port: 0 },
      { address: remote, port },
      options,
      performance.now(),
    );
    if ('refused' in dialled) throw new Error(dialled.refused);
    this.#sessions.set(dialled.id, session);
    this.#perform(dialled.actions);
    return session.done;
  }

  /** The next connection to a port. */
  accept(port: number, options: TcpOptions, outgoing: Uint8Array): Promise<Transfer> {
    const session = new Session(outgoing);
    this.#accepted.push(session);
    if (!this.host.listen(port, { accept: (_remote: Address) => options })) throw new Error(`port ${port} is taken`);
    return session.done;
  }

  async close(): Promise<void> {
    this.#open = false;
    clearTimeout(this.#wake);
    for (const timer of this.#timers) clearTimeout(timer);
    await this.#tun.close();
    this.#readiness.close();
  }

  #perform(actions: readonly TcpAction[]): void {
    for (const action of actions) {
      if (action.do === 'emit') {
        this.#pass(() => this.#write(action.packet));
        continue;
      }
      if (action.do === 'connected' && action.passive) this.#sessions.set(action.id, this.#accepted.shift()!);
      const session = this.#sessions.get(action.id);
      if (action.do === 'received') {
        const { octets, actions: more } = this.host.read(action.id);
        session?.take(octets);
        this.#perform(more);
      }
      if (action.do === 'connected' || action.do === 'writable') this.#pour(action.id, session!);
      if (action.do === 'closed') session?.end(`${action.how}: ${action.why}`);
    }
    this.#schedule();
  }

  #pour(id: number, session: Session): void {
    const { accepted, actions } = this.host.send(id, session.rest, performance.now());
    session.rest = session.rest.subarray(accepted);
    this.#perform(actions);
    if (session.rest.length === 0) this.#perform(this.host.close(id, performance.now()));
  }

  #pass(carry: () => void): void {
    const { loss, late } = this.shim ?? { loss: 0, late: 0 };
    const chance = this.shim === undefined ? 1 : this.#draw() / 0x1_0000_0000;
    if (chance < loss) return;
    if (chance >= loss + late) return carry();
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (this.#open) carry();
    }, 2);
    this.#timers.add(timer);
  }

  #write(octets: Uint8Array): void {
    const packet = this.#pool.from(octets);
    if (packet === undefined) return;
    this.#tun.writePacket(packet);
    this.#pool.release(packet);
  }

  #schedule(): void {
    clearTimeout(this.#wake);
    const due = this.host.deadline();
    if (due === undefined || !this.#open) return;
    const wait = Math.max(0, Math.ceil(due.at - performance.now()));
    this.#wake = setTimeout(() => this.#perform(this.host.tick(performance.now())), wait);
  }
}

class Session {
  rest: Uint8Array;
  readonly done: Promise<Transfer>;
  #digest = createHash('sha256');
  #octets = 0;
  #resolve: (transfer: Transfer) => void = () => {};

  constructor(outgoing: Uint8Array) {
    this.rest = outgoing;
    this.done = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  take(octets: Uint8Array): void {
    this.#digest.update(octets);
    this.#octets += octets.length;
  }

  end(closed: string): void {
    this.#resolve({ received: this.#digest.digest('hex'), octets: this.#octets, closed });
  }
}

export interface KernelSide {
  readonly role: 'listen' | 'dial';
  readonly family: 4 | 6;
  readonly port: number;
  readonly octets: number;
  readonly md5?: string;
  /** RFC 5082 over IPv4: sends a TTL of 255 and takes nothing less. */
  readonly gtsm?: boolean;
  /** Seconds until it gives up. */
  readonly patience?: number;
}

/** The kernel's end: `digest length` of what it received, or the name of the error. */
export async function kernelSide({
  role,
  family,
  port,
  octets,
  md5 = '',
  gtsm = false,
  patience = 12,
}: KernelSide): Promise<string> {
  const words = [
    role,
    KERNEL[family],
    OURS[family],
    String(port),
    String(octets),
    md5,
    gtsm ? 'gtsm' : '',
    String(patience),
  ];
  const { stdout, stderr } = await run(PYTHON, ['-c', PROGRAM, ...words], {});
  return stdout.trim() || stderr;
}

/** Resolves when the kernel listens on a port, which /proc tells in hexadecimal; 0A is LISTEN. */
export async function kernelListens(port: number): Promise<void> {
  const line = new RegExp(`:${port.toString(16).toUpperCase().padStart(4, '0')} \\S+ 0A `);
  const tables = ['/proc/thread-self/net/tcp', '/proc/thread-self/net/tcp6'];
  await until(
    () => tables.some((table) => line.test(readFileSync(table, 'utf8'))),
    5000,
    () => `nobody listens on port ${port}`,
  );
}

/** IP_MINTTL is 21. TCP_MD5SIG (14) takes a sockaddr_storage, flags, prefix length, key length, an interface and 80 octets of key. */
const PROGRAM = `
import hashlib, socket, struct, sys, threading
role, ours, theirs, port, octets, key, gtsm, patience = sys.argv[1:]
family = socket.AF_INET6 if ':' in ours else socket.AF_INET
block = b''.join(hashlib.sha256(str(i).encode()).digest() for i in range(2048))[:65521]
data = (block * (int(octets) // len(block) + 1))[:int(octets)]
def sign(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if gtsm:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
        s.setsockopt(socket.IPPROTO_IP, 21, 255)
    if not key: return
    peer = struct.pack('=H', family) + (b'' if family == socket.AF_INET else bytes(2) + bytes(4))
    if family == socket.AF_INET: peer += bytes(2)
    peer += socket.inet_pton(family, theirs)
    s.setsockopt(socket.IPPROTO_TCP, 14, peer.ljust(128, b'\\0') + struct.pack('=BBHI', 0, 0, len(key), 0) + key.encode().ljust(80, b'\\0'))
s = socket.socket(family, socket.SOCK_STREAM)
sign(s)
s.settimeout(float(patience))
try:
    if role == 'listen':
        s.bind((ours, int(port)))
        s.listen(1)
        c, _ = s.accept()
    else:
        s.connect((theirs, int(port)))
        c = s
    c.settimeout(float(patience))
    def pour():
        c.sendall(data)
        c.shutdown(socket.SHUT_WR)
    t = threading.Thread(target=pour, daemon=True)
    t.start()
    digest, count = hashlib.sha256(), 0
    while True:
        got = c.recv(65536)
        if not got: break
        digest.update(got)
        count += len(got)
    t.join(float(patience))
    print(digest.hexdigest(), count)
except OSError as e:
    print(type(e).__name__)
`;
