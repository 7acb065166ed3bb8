import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ApiServer, createApi, serveApi } from '../../src/api/index.ts';
import { main } from '../../src/cli/main.ts';
import { FakeBackend } from './fake-backend.ts';

let folder: string;
let path: string;
let server: ApiServer | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bh-api-'));
  path = join(folder, 'deeper', 'control.sock');
});
afterEach(async () => {
  await server?.close(0);
  server = undefined;
  rmSync(folder, { recursive: true });
});

const serve = async (backend: FakeBackend): Promise<void> => {
  server = await serveApi(createApi(backend).fetch, `unix:${path}`);
};

async function cli(...argv: string[]): Promise<{ exit: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const exit = await main(argv, {
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
    env: { BULKHEAD_API: `unix:${path}` },
    signal: new AbortController().signal,
  });
  return { exit, out, err };
}

test('only the owner may open the socket, and it goes with the server', async () => {
  await serve(new FakeBackend());
  expect(statSync(path).mode & 0o777).toBe(0o600);
  await server!.close();
  server = undefined;
  expect(existsSync(path)).toBe(false);
});

test('the command line over a real socket: answers, bodies, streams, errors', async () => {
  const backend = new FakeBackend();
  backend.answers = [{ sequence: 1, from: '10.2.0.1', outcome: 'reply', milliseconds: 2, octets: 56 }];
  await serve(backend);
  expect((await cli('status')).out).toMatch(/^gw1 {2}ok/);
  expect(await cli('keys', 'on', '--folder', '/k')).toMatchObject({ exit: 0, out: '/k\n' });
  expect((await cli('ping', '--tenant', 'fabrikam', '10.2.0.1')).out).toMatch(
    /^56 octets from 10\.2\.0\.1: sequence 1, 2\.00 ms\n/,
  );
  expect(await cli('routes', '--tenant', 'nobody')).toEqual({
    exit: 1,
    out: '',
    err: 'bulkhead: there is no tenant "nobody"\n  Known: fabrikam, contoso.\n',
  });
});

test('the file of a server that died is replaced', async () => {
  mkdirSync(join(folder, 'deeper'));
  // Node unlinks on close, so a leftover is made by renaming the file away from its server and back.
  const dead = createServer();
  await new Promise<void>((resolve) => dead.listen(path, resolve));
  renameSync(path, `${path}.kept`);
  await new Promise((resolve) => dead.close(resolve));
  renameSync(`${path}.kept`, path);
  await serve(new FakeBackend());
  expect((await cli('status')).exit).toBe(0);
});

test('a gateway that answers keeps its socket', async () => {
  await serve(new FakeBackend());
  await expect(serveApi(() => new Response(), `unix:${path}`)).rejects.toThrow(`another gateway answers on ${path}`);
  expect((await cli('status')).exit).toBe(0);
});

test('a file that is no socket stays', async () => {
  path = join(folder, 'file');
  writeFileSync(path, 'precious');
  await expect(serveApi(() => new Response(), `unix:${path}`)).rejects.toThrow('is not a socket: it stays');
  expect(existsSync(path)).toBe(true);
});

test('an asker that goes away ends what was done for it', async () => {
  const backend = new FakeBackend();
  await serve(backend);
  const gone = new AbortController();
  const asking = main(['connections', 'up', 'fabrikam/hq', '--wait', '60'], {
    stdout: { write: () => true },
    stderr: { write: () => true },
    env: { BULKHEAD_API: `unix:${path}` },
    signal: gone.signal,
  });
  while (backend.watchers === 0) await new Promise((resolve) => setImmediate(resolve));
  gone.abort();
  expect(await asking).toBe(1);
  while (backend.watchers > 0) await new Promise((resolve) => setImmediate(resolve));
});

test('closing waits for an answer under way, then cuts', async () => {
  const backend = new FakeBackend();
  await serve(backend);
  const asking = cli('connections', 'up', 'fabrikam/hq', '--wait', '60');
  while (backend.watchers === 0) await new Promise((resolve) => setImmediate(resolve));
  await server!.close(20);
  server = undefined;
  const { exit, err } = await asking;
  expect(exit).toBe(4);
  expect(err).toContain(`the gateway on ${path} cannot be asked`);
});
