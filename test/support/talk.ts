/** Small programs for the machines of a test network, each for `node -e`. Servers write `ready`. */
import type { Overlay, Spot } from './overlay.ts';
import type { TestProcess } from './process.ts';

/** Starts a server; it listens when this resolves. */
export async function serve(net: Overlay, spot: Spot, program: string, ...args: readonly string[]) {
  const server = net.start(spot, process.execPath, ['-e', program, ...args]);
  await server.line(/ready/);
  return server;
}

/** Answers each datagram with the endpoint it came from, so many milliseconds later as it says. Its queue holds some 500. */
export const UDP_ECHO = `const s = require('dgram').createSocket({ type: 'udp4', recvBufferSize: 212992 });
s.on('message', (m, from) => setTimeout(() => s.send(from.address + ':' + from.port, from.port, from.address), Number(m)));
s.bind(Number(process.argv[1]), () => console.log('ready'));`;

/** A name server: TXT of everything is the endpoint that asks; of `large` it is 2500 octets. Over UDP and TCP. */
export const NAME_SERVER = `const port = Number(process.argv[1]);
function answer(q, peer) {
  let end = 12; while (q[end] !== 0) end += q[end] + 1; end += 5;
  const texts = q.subarray(13, 18).toString() === 'large' ? Array(10).fill('x'.repeat(250)) : [peer];
  const data = Buffer.concat(texts.map((t) => Buffer.from(String.fromCharCode(t.length) + t, 'latin1')));
  const record = Buffer.from([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 0, data.length >> 8, data.length & 0xff]);
  const header = Buffer.from([q[0], q[1], 0x84 | (q[2] & 1), 0, 0, 1, 0, 1, 0, 0, 0, 0]);
  return Buffer.concat([header, q.subarray(12, end), record, data]);
}
const u = require('dgram').createSocket('udp4');
u.on('message', (q, from) => u.send(answer(q, from.address + ':' + from.port), from.port, from.address));
const t = require('net').createServer((c) => c.on('error', () => {}).on('data', (q) => {
  const a = answer(q.subarray(2), c.remoteAddress + ':' + c.remotePort);
  c.end(Buffer.concat([Buffer.from([a.length >> 8, a.length & 0xff]), a]));
}));
u.bind(port, () => t.listen(port, '0.0.0.0', () => console.log('ready')));`;

/** Gives back every line of a TCP connection. */
export const LINE_ECHO = `require('net').createServer((c) => c.on('error', () => {}).pipe(c))
.listen(Number(process.argv[1]), '0.0.0.0', () => console.log('ready'));`;

export interface Asked {
  /** By local port: what came back. */
  readonly answers: Readonly<Record<number, string>>;
  /** Codes of the sockets' errors. */
  readonly errors: readonly string[];
}

/**
 * Sends a datagram with `delay` from each port to a `UDP_ECHO`, and waits so long for answers; where `again` is not 0, what has none
 * is sent again after so many milliseconds, as programs that use UDP do.
 */
export async function askFrom(
  net: Overlay,
  spot: Spot,
  to: string,
  port: number,
  ports: readonly number[],
  { delay = 0, wait = 800, again = 0 } = {},
): Promise<Asked> {
  const words = [to, port, delay, wait, again, JSON.stringify(ports)].map(String);
  return JSON.parse(await net.must(spot, process.execPath, ['-e', UDP_ASK, ...words])) as Asked;
}

const UDP_ASK = `const [to, port, delay, wait, again, ports] = process.argv.slice(1);
const answers = {}, errors = [], all = JSON.parse(ports); let sockets = [];
const finish = () => { console.log(JSON.stringify({ answers, errors })); process.exit(0); };
const settled = () => { if (Object.keys(answers).length + errors.length === all.length) finish(); };
for (const own of all) {
  const s = require('dgram').createSocket('udp4');
  s.on('message', (m) => { answers[own] = String(m); settled(); });
  s.on('error', (e) => { errors.push(e.code); s.close(); settled(); });
  s.bind(own, () => s.connect(Number(port), to, () => {
    s.send(delay);
    if (Number(again) > 0) setInterval(() => { if (!(own in answers)) s.send(delay); }, Number(again));
  }));
  sockets.push(s);
}
setTimeout(finish, Number(delay) + Number(wait));`;

/** A TCP connection with a line every 50 ms that must come back. */
export class LongConnection {
  readonly #process: TestProcess;

  private constructor(process: TestProcess) {
    this.#process = process;
  }

  static async open(net: Overlay, spot: Spot, to: string, port: number): Promise<LongConnection> {
    const connection = new LongConnection(net.start(spot, process.execPath, ['-e', LINES, to, String(port)]));
    await connection.lives();
    return connection;
  }

  /** Throws when it has ended, or no new line comes back within ten seconds. */
  async lives(): Promise<void> {
    const had = this.#lines;
    await this.#process.line(new RegExp(`^${had + 3}$`, 'm'));
    if (/closed/.test(this.#process.stdout)) throw new Error(`the connection has ended after ${this.#lines} lines`);
  }

  async end(): Promise<void> {
    await this.#process.stop();
  }

  get #lines(): number {
    return this.#process.stdout.split('\n').length - 1;
  }
}

const LINES = `const c = require('net').connect(Number(process.argv[2]), process.argv[1]); let sent = 0, back = 0;
c.setEncoding('utf8').on('connect', () => setInterval(() => c.write(++sent + '\\n'), 50));
let rest = ''; c.on('data', (t) => { const lines = (rest + t).split('\\n'); rest = lines.pop();
  for (const l of lines) { if (Number(l) !== ++back) { console.log('closed: wrong line'); process.exit(1); } console.log(back); } });
c.on('error', (e) => console.log('closed: ' + e.code)).on('close', () => { console.log('closed'); process.exit(1); });`;
