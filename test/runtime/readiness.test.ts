import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Readiness } from '../../src/runtime/index.ts';
import { Arena } from '../../src/runtime/memory.ts';
import { check } from '../../src/runtime/syscalls.ts';
import { requirePeers } from '../support/peers.ts';
import { until } from '../support/process.ts';
import { Compiled } from '../support/program.ts';

const open: Readiness[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});

function ready(): Readiness {
  const made = new Readiness();
  open.push(made);
  return made;
}

/** An eventfd: readable as soon as something was written, until it is read. */
function signal(readiness: Readiness) {
  const { sys } = readiness;
  const fd = check(sys, sys.eventfd(0, 0x800), 'eventfd');
  const cells = new Arena(sys.koffi, 16);
  cells.bytes[0] = 1;
  return {
    fd,
    raise: () => sys.write(fd, cells.base, 8),
    lower: () => sys.read(fd, cells.base + 8, 8),
    close: () => sys.close(fd),
  };
}

const turns = async (count: number) => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

const suite = requirePeers('linux', 'koffi');

suite('readiness', () => {
  it('calls the reader of what is readable, and no other', async () => {
    const readiness = ready();
    const [a, b] = [signal(readiness), signal(readiness)];
    const calls: string[] = [];
    readiness.watch(a.fd, () => calls.push(`a${a.lower()}`));
    readiness.watch(b.fd, () => calls.push(`b${b.lower()}`));
    await turns(5);
    expect(calls).toEqual([]);
    a.raise();
    await until(() => calls.length === 1);
    b.raise();
    await until(() => calls.length === 2);
    expect(calls).toEqual(['a8', 'b8']);
    for (const each of [a, b]) {
      await readiness.forget(each.fd);
      each.close();
    }
  });

  it('calls again until everything is read, and lets timers and other descriptors have their turn', async () => {
    const readiness = ready();
    const [busy, other] = [signal(readiness), signal(readiness)];
    const calls: string[] = [];
    readiness.watch(busy.fd, () => {
      calls.push('busy');
      if (calls.length === 1) setImmediate(() => calls.push('immediate'));
      if (calls.length === 4) other.raise();
      if (calls.length > 6) busy.lower();
    });
    readiness.watch(other.fd, () => {
      calls.push('other');
      other.lower();
    });
    busy.raise();
    await until(() => calls.includes('other') && calls.length > 6);
    await turns(10);
    expect(calls.indexOf('immediate')).toBe(2);
    expect(calls.filter((each) => each === 'other')).toHaveLength(1);
    expect(calls.length).toBeLessThan(10);
    for (const each of [busy, other]) {
      await readiness.forget(each.fd);
      each.close();
    }
  });

  it('takes up a descriptor while it waits for others', async () => {
    const readiness = ready();
    const [a, b] = [signal(readiness), signal(readiness)];
    readiness.watch(a.fd, () => a.lower());
    await turns(5);
    let calls = 0;
    readiness.watch(b.fd, () => {
      b.lower();
      calls += 1;
    });
    await turns(2);
    b.raise();
    await until(() => calls === 1);
    for (const each of [a, b]) {
      await readiness.forget(each.fd);
      each.close();
    }
  });

  it('never calls a forgotten reader', async () => {
    const readiness = ready();
    const a = signal(readiness);
    let calls = 0;
    readiness.watch(a.fd, () => {
      calls += 1;
    });
    await turns(5);
    const forgotten = readiness.forget(a.fd);
    a.raise();
    await forgotten;
    await turns(5);
    expect(calls).toBe(0);
    a.close();
  });

  it('survives adding, raising and forgetting at random', async () => {
    const readiness = ready();
    const signals = Array.from({ length: 8 }, () => signal(readiness));
    const calls = signals.map(() => 0);
    const watched = new Set<number>();
    const expected = signals.map(() => 0);
    let state = 7;
    const next = (n: number) => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return (state >>> 16) % n;
    };
    for (let step = 0; step < 300; step++) {
      const i = next(signals.length);
      const each = signals[i]!;
      if (!watched.has(i)) {
        watched.add(i);
        readiness.watch(each.fd, () => {
          each.lower();
          calls[i]! += 1;
        });
      } else if (next(3) === 0) {
        watched.delete(i);
        await readiness.forget(each.fd);
      } else {
        expected[i]! += 1;
        each.raise();
        await until(() => calls[i] === expected[i]);
      }
    }
    expect(calls).toEqual(expected);
    for (const i of watched) await readiness.forget(signals[i]!.fd);
    for (const each of signals) each.close();
  });
});

describe('the end of a process', () => {
  let compiled: Compiled;
  beforeAll(async () => {
    compiled = await Compiled.of('src/runtime/index.ts');
  }, 60_000);
  afterAll(() => compiled.remove());

  const waiting = `
    import { Readiness } from 'src/runtime/index.ts';
    const readiness = new Readiness();
    const fd = readiness.sys.eventfd(0, 0x800);
    readiness.watch(fd, () => {});
    await new Promise((resolve) => setTimeout(resolve, 100));
  `;

  suite('that waits for packets', () => {
    it('keeps running', async () => {
      const process = compiled.start(`${waiting} console.log('waits');`);
      await process.line(/waits/);
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(process.running).toBe(true);
      await process.stop('SIGKILL');
    });

    it('comes by itself when nothing is watched any more', async () => {
      expect(await compiled.run(`${waiting} await readiness.forget(fd);`, { milliseconds: 20_000 })).toMatchObject({
        code: 0,
      });
      expect(await compiled.run(`${waiting} await readiness.close();`, { milliseconds: 20_000 })).toMatchObject({
        code: 0,
      });
    });

    it('is not held up by the waiting thread, neither by exit nor by an error', async () => {
      expect((await compiled.run(`${waiting} process.exit(7);`, { milliseconds: 20_000 })).code).toBe(7);
      const failed = await compiled.run(`${waiting} setTimeout(() => { throw new Error('ours'); });`, {
        milliseconds: 20_000,
      });
      expect(failed.code).toBe(1);
      expect(failed.stderr).toContain('Error: ours');
    });

    it('an error of a reader ends it too: nothing is swallowed', async () => {
      const failed = await compiled.run(
        `${waiting}
         const bad = readiness.sys.eventfd(1, 0x800);
         readiness.watch(bad, () => { throw new Error('in a reader'); });`,
        { milliseconds: 20_000 },
      );
      expect(failed.code).toBe(1);
      expect(failed.stderr).toContain('Error: in a reader');
    });

    it('uses no processor time meanwhile', async () => {
      const { stdout } = await compiled.run(`${waiting}
        const before = process.cpuUsage();
        await new Promise((resolve) => setTimeout(resolve, 1000));
        const { user, system } = process.cpuUsage(before);
        console.log((user + system) / 1000 < 200 ? 'idle' : 'spins: ' + (user + system));
        process.exit(0);`);
      expect(stdout).toBe('idle\n');
    });
  });

  it('without koffi: UDP works, and what needs system calls says so', async () => {
    const { stdout, stderr } = await compiled.run(
      `
      import { doctor, loadSyscalls, openUdp, Readiness, SystemError } from 'src/runtime/index.ts';
      import { PacketPool } from 'src/ip/index.ts';
      console.log(loadSyscalls().ok);
      try { new Readiness(); } catch (error) { console.log(error instanceof SystemError, error.message); }
      const pool = new PacketPool(4);
      const local = { address: Uint8Array.of(127, 0, 0, 1), port: 0 };
      const socket = await openUdp({ local, pool, receive: (packet) => {
        console.log('received', packet.end - packet.start);
        pool.release(packet);
        socket.close();
      } });
      socket.send(new Uint8Array(9), 0, 9, socket.local);
      const koffi = (await doctor({ addresses: [] })).find((check) => check.name === 'koffi');
      console.log(koffi.level, koffi.cost);
      `,
      { env: { BULKHEAD_NO_KOFFI: '1' } },
    );
    expect(stderr).toBe('');
    expect(stdout.split('\n')).toEqual([
      'false',
      'true waiting for packets: koffi is switched off (BULKHEAD_NO_KOFFI=1): function not implemented (ENOSYS)',
      'warning no TUN devices, no raw ESP; UDP several times slower, without DF and ECN',
      'received 9',
      '',
    ]);
  });
});
