/** A process that hosts a data plane in a worker ends when it has nothing else to do. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { requirePeers } from '../support/peers.ts';
import { Compiled } from '../support/program.ts';

const describeWithPeers = requirePeers('linux', 'koffi');

describeWithPeers('a process with a data plane in a worker', () => {
  let compiled: Compiled;

  beforeAll(async () => {
    compiled = await Compiled.of('src/runtime/worker/main.ts', 'src/runtime/index.ts');
  }, 60_000);
  afterAll(() => compiled.remove());

  it.each([
    { what: 'closed it', rest: 'await host.close();', code: 0 },
    { what: 'nothing else to do', rest: '', code: 0 },
    { what: 'failed', rest: 'throw new Error("ours");', code: 1 },
    { what: 'lost it and closed', rest: 'host.fail("kill"); await host.close();', code: 0 },
  ])('a process that has started one and $what ends by itself', async ({ rest, code: wanted }) => {
    const source = `
      import { PlaneHost } from 'src/runtime/worker/plane-host.ts';
      import { requireSyscalls } from 'src/runtime/syscalls.ts';
      import { SharedCells } from 'src/gateway/index.ts';
      const log = { error: console.error, warn: console.error };
      const cells = new SharedCells().memory;
      const host = new PlaneHost({ sys: requireSyscalls(), log, cells, plane: 0, planes: 1, packets: 64, cpu: undefined });
      await host.start();
      console.log('runs');
      ${rest}
    `;
    const { code, stdout, stderr } = await compiled.run(source, { milliseconds: 10_000 });
    expect({ code, stdout }).toEqual({ code: wanted, stdout: 'runs\n' });
    if (wanted === 0) expect(stderr).toBe('');
  });
});
