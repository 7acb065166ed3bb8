/** What hostA and hostB send each other to see that every octet arrives: files over TCP, datagrams that the kernel cuts. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'vitest';
import { BIN } from '../support/bulkhead.ts';
import type { Topology } from '../support/netns.ts';

/** Both ends send a file of so many octets at once, over one TCP connection to `address` of hostB. */
export async function exchange(network: Topology, address: string, octets: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), `bh-exchange-${process.pid}-`));
  const file = join(folder, 'data');
  const data = randomBytes(octets);
  writeFileSync(file, data);
  const hash = createHash('sha256').update(data).digest('hex');
  const server = network.start('hostB', process.execPath, ['-e', EXCHANGE, 'server', address, file]);
  try {
    await server.line(/listening/);
    const came = await network.must('hostA', process.execPath, ['-e', EXCHANGE, 'client', address, file]);
    expect(came.trim()).toBe(hash);
    await server.end();
    expect(server.stdout.trim()).toBe(hash);
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** hostA sends so many datagrams of 1200 octets to `address` of hostB. */
export async function datagrams(network: Topology, address: string, count: number): Promise<void> {
  const words = (role: string): string[] => [
    '--input-type=module',
    '-e',
    DATAGRAMS,
    role,
    DIST,
    address,
    String(count),
  ];
  const server = network.start('hostB', process.execPath, words('server'));
  try {
    await server.line(/listening/);
    await network.must('hostA', process.execPath, words('client'));
    expect(await server.end()).toBe(0);
    expect(JSON.parse(server.stdout)).toEqual({ seen: count, wrong: 0 });
  } finally {
    await server.stop();
  }
}

/** Sends a file to whoever is at the other end of one TCP connection and tells the hash of what came. */
const EXCHANGE = `
  const { createReadStream } = require('node:fs');
  const hash = require('node:crypto').createHash('sha256');
  const net = require('node:net');
  const [role, address, file] = process.argv.slice(1);
  const talk = (socket) => {
    createReadStream(file).pipe(socket);
    socket.on('data', (data) => hash.update(data));
    socket.on('end', () => { console.log(hash.digest('hex')); server?.close(); });
    socket.setTimeout(15000, () => process.exit(3));
  };
  const server = role === 'server' ? net.createServer({ allowHalfOpen: true }, talk) : undefined;
  if (server) server.listen(7000, address, () => console.error('listening'));
  else talk(net.connect({ host: address, port: 7000, allowHalfOpen: true }));
`;

/** Datagrams of 1200 octets, handed to the kernel forty at a time for it to cut; the receiver looks at every octet. */
const DATAGRAMS = `
  const [role, root, text, count] = process.argv.slice(1);
  const { openNativeUdp, Readiness } = await import(root + '/runtime/index.js');
  const { PacketPool, parseAddress } = await import(root + '/ip/index.js');
  const pool = new PacketPool(64, 65535);
  const address = parseAddress(text);
  const SIZE = 1200, BATCH = 40;
  if (role === 'server') {
    const readiness = new Readiness();
    let [seen, wrong, next] = [0, 0, 0];
    const receive = (packet) => {
      const { buf, start, end, segment, view } = packet;
      for (let at = start; at < end; at += segment || SIZE) {
        const number = view.getUint32(at);
        const rest = buf.subarray(at + 4, Math.min(end, at + SIZE));
        if (rest.length !== SIZE - 4 || rest.some((octet) => octet !== (number & 0xff)) || number < next) wrong += 1;
        next = number + 1;
        seen += 1;
      }
      pool.release(packet);
      if (seen === Number(count)) finish();
    };
    const socket = openNativeUdp({ local: { address, port: 7001 }, pool, readiness, offload: {}, receive });
    const finish = async () => {
      console.log(JSON.stringify({ seen, wrong }));
      await socket.close();
      await readiness.close();
      process.exit(0);
    };
    setTimeout(finish, 10000);
    console.error('listening');
  } else {
    const local = { address: new Uint8Array(address.length), port: 0 };
    const socket = openNativeUdp({ local, pool, receive: () => {}, offload: {} });
    const packet = pool.take();
    packet.segment = SIZE;
    packet.end = packet.start + BATCH * SIZE;
    for (let sent = 0; sent < Number(count); sent += BATCH) {
      for (let i = 0; i < BATCH; i++) {
        const at = packet.start + i * SIZE;
        packet.buf.fill((sent + i) & 0xff, at, at + SIZE);
        packet.view.setUint32(at, sent + i);
      }
      if (socket.sendBatch([packet], 0, 1, { address, port: 7001 }) !== 0) process.exit(4);
      await new Promise((done) => setTimeout(done, 4));
    }
    console.log(JSON.stringify(socket.batchCounters));
    await socket.close();
  }
`;
const DIST = pathToFileURL(join(dirname(BIN), '../dist')).href;
