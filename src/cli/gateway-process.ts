/**
 * A gateway as a process: document, host, control socket, signals, put together. Ends with 0 after a clean stop.
 *
 * SIGTERM and SIGINT send DELETE, close and remove; once more ends at once. SIGHUP reads the document again and touches only
 * what changed; a document with errors changes nothing.
 */
import { availableParallelism } from 'node:os';
import { ApiProblem, type Backend, GatewayBackend, type KeysStatus, type ReloadStatus } from '../api/index.ts';
import {
  type DataplaneConfig,
  type Document,
  diffDocuments,
  formatChanges,
  formatIssue,
  type GatewayConfig,
  type Issue,
  readDocument,
  showDocument,
} from '../config/index.ts';
import { chooseEngine, type Engine } from '../crypto/index.ts';
import {
  changedSecrets,
  Gateway,
  type GatewayOptions,
  planHost,
  type ResolvedDocument,
  SharedCells,
} from '../gateway/index.ts';
import { PacketPool, SUPERFRAME_MAX } from '../ip/index.ts';
import {
  createLog,
  engineCandidates,
  Host,
  type Log,
  type LogFormat,
  type LogLevel,
  loadSyscalls,
  monotonicMillis,
  onSignals,
  PlaneHost,
  Planes,
  packetMemory,
  readText,
  StateFile,
  SystemError,
  systemRandom,
} from '../runtime/index.ts';
import { CliError, EXIT } from './io.ts';
import { fetchSecrets, unreadable } from './loading.ts';
import { VERSION } from './version.ts';

export interface GatewayProcessOptions {
  /** The document. */
  readonly file: string;
  /** Instead of the state file in /var/lib/bulkhead. */
  readonly state: string | undefined;
  /** Instead of the document's `api.listen`. */
  readonly listen: string | undefined;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  readonly serve: (backend: Backend, listen: string) => Promise<{ close(): Promise<void> }>;
}

/** Resolves with the exit code when the gateway has stopped. */
export async function runGateway(options: GatewayProcessOptions): Promise<number> {
  const { file } = options;
  const log = createLog({ level: options.logLevel, format: options.logFormat });
  let loaded = load(file);
  for (const issue of loaded.issues) if (issue.severity === 'warning') log.warn(formatIssue(issue));
  if (loaded.unreadable !== undefined) throw unreadable(loaded.unreadable);
  if (loaded.resolved === undefined) throw invalid(file, loaded.issues);
  const first = loaded.resolved.document;
  const engine = engineFor(log);
  const hosted = await startPlanes(first.gateway, log);
  const pool = hosted?.pool ?? packetMemory(first.gateway.limits.packets, SUPERFRAME_MAX).pool;
  const { offloads } = first.gateway.dataplane;
  const own = { random: systemRandom, pool, version: VERSION, engine, superframes: offloads };
  const state = new StateFile(options.state ?? `/var/lib/bulkhead/${first.gateway.name}.json`);
  if (state.problem !== undefined) log.warn(state.problem);
  const gateway = new Gateway({ ...own, natAddresses: state.natAddresses, ...hosted?.options });
  const host: Host = new Host({
    gateway,
    pool,
    log,
    planes: hosted?.planes,
    offloads,
    sockets: first.gateway.dataplane,
    observe: (action) => {
      backend.observe(action);
      const problem = action.do === 'nat-addresses' ? state.write(action.addresses) : undefined;
      if (problem !== undefined) log.warn(problem);
    },
  });

  const keys = new Keys(host, first.gateway.keyLog, log);
  const reload = async (): Promise<ReloadStatus> => {
    const next = load(file);
    if (next.resolved === undefined || loaded.resolved === undefined)
      return { applied: false, changes: [], issues: next.issues };
    const changes = [
      ...formatChanges(diffDocuments(loaded.document!, next.document!)),
      ...changedSecrets(loaded.resolved, next.resolved).map(formatChangedSecret),
    ];
    loaded = next;
    host.dispatch({ type: 'apply', resolved: next.resolved });
    await host.settled();
    return { applied: true, changes, issues: next.issues };
  };
  const backend = new GatewayBackend({
    gateway,
    dispatch: (event) => host.dispatch(event),
    now: monotonicMillis,
    keys: () => keys.status,
    setKeys: (enabled, folder) => keys.set(enabled, folder),
    reload,
    configText: () => showDocument(loaded.document!),
    memoryBytes: () => process.memoryUsage.rss(),
    workers: () => hosted?.planes.facts ?? [],
  });

  if (first.gateway.keyLog !== undefined) keys.set(true, undefined);
  const ended = new Promise<number>((resolve) => {
    // The handlers stay to the end: a signal that comes late must not make a clean stop look like another one.
    onSignals({
      stop: (signal) => {
        log.info(`${signal}: stopping; once more ends at once`);
        void host.stop().then(() => resolve(EXIT.ok));
      },
      force: (signal) => {
        log.warn(`${signal} again: peers are left without a DELETE`);
        void host.abort().then(() => resolve(EXIT.error));
      },
      reload: () => void reload().then((status) => reportReload(status, log)),
    });
  });

  const listen = options.listen ?? first.api?.listen;
  const server = listen === undefined ? undefined : await serve(options, backend, listen, log);
  host.dispatch({ type: 'apply', resolved: loaded.resolved });
  await host.settled();
  const { listen: sockets, name } = gateway.status(monotonicMillis());
  if (sockets.length === 0 && first.gateway.external.addresses.length > 0) {
    await server?.close();
    await host.stop();
    throw new CliError(
      EXIT.error,
      'listen',
      'no address could be listened on',
      'The log above says why; `bulkhead doctor` says what is missing.',
    );
  }
  log.info(
    `${name} is running${sockets.length === 0 ? '' : ': '}${sockets.map((s) => (s.port === 0 ? `${s.address} ESP` : `${s.address}:${s.port}`)).join(', ')}`,
  );
  const exit = await ended;
  await server?.close();
  log.info('stopped');
  return exit;
}

/** Threads for the data plane, where system calls can be made; else packets pass through the main thread. */
async function startPlanes({ limits, dataplane }: GatewayConfig, log: Log): Promise<Hosted | undefined> {
  const loaded = loadSyscalls();
  const asked = process.env.BULKHEAD_WORKERS === undefined ? dataplane.workers : Number(process.env.BULKHEAD_WORKERS);
  if (!loaded.ok || asked === 0) return undefined;
  const cells = new SharedCells();
  const hosts = Array.from(
    { length: asked },
    (_, plane) =>
      new PlaneHost({
        sys: loaded.sys,
        log,
        cells: cells.memory,
        plane,
        planes: asked,
        packets: limits.packets,
        superframes: dataplane.offloads,
        realtime: isRealtime(dataplane, asked),
        cpu: dataplane.cpus[plane],
      }),
  );
  try {
    await Promise.all(hosts.map((host) => host.start()));
  } catch (error) {
    await Promise.all(hosts.map((host) => host.close()));
    log.warn(`packets pass through the main thread: ${(error as Error).message}`);
    return undefined;
  }
  const pool = new PacketPool(CONTROL_PACKETS, SUPERFRAME_MAX);
  return { pool, planes: new Planes(loaded.sys, hosts, pool), options: { remote: { cells, planes: asked } } };
}

/** By itself only where at least one processor is left for everything else: what is scheduled so comes before it. */
function isRealtime({ scheduling }: DataplaneConfig, workers: number): boolean {
  return scheduling === 'auto' ? availableParallelism() > workers : scheduling === 'realtime';
}

interface Hosted {
  readonly pool: PacketPool;
  readonly planes: Planes;
  readonly options: Pick<GatewayOptions, 'remote'>;
}

/** What the main thread needs for IKE where the data plane has a thread of its own. */
const CONTROL_PACKETS = 64;

/** The fastest engines that know their known answers. What is not installed is `doctor`'s to say; wrong answers are said here too. */
function engineFor(log: Log): Engine {
  const { engine, tried } = chooseEngine(engineCandidates());
  for (const { name, ok, why, suites } of tried) {
    if (!ok && suites > 0) log.warn(`the crypto engine ${name} is not used: ${why}`);
  }
  log.info(`ESP is protected by ${engine.name}`);
  return engine;
}

interface Loaded {
  /** As it was written; there whenever `resolved` is. */
  readonly document?: Document;
  readonly resolved: ResolvedDocument | undefined;
  readonly issues: readonly Issue[];
  /** Why there is no text. */
  readonly unreadable?: string;
}

/** Document and secrets; everything wrong with either at once. */
function load(file: string): Loaded {
  const text = readText(file);
  if (!text.ok) {
    const issue = { severity: 'error' as const, file, line: 1, column: 1, path: '', message: text.problem };
    return { resolved: undefined, issues: [issue], unreadable: text.problem };
  }
  const { document, issues } = readDocument(text.text, file);
  if (document === undefined) return { resolved: undefined, issues };
  if (document.role === 'host') return { document, resolved: { ...planHost(document), secrets: new Map() }, issues };
  const { secrets, problems } = fetchSecrets(document, file, text.text);
  const all = [...issues, ...problems];
  return problems.length === 0
    ? { document, resolved: { document, secrets }, issues: all }
    : { resolved: undefined, issues: all };
}

/** In the words of `formatChanges`; the name is that of `secretPlaces`. */
function formatChangedSecret(name: string): string {
  const [tenant, , peer] = name.split('/');
  if (peer === undefined) return `~ connection ${name}: auth.psk has other contents`;
  return `~ bgp peer ${tenant}/${peer}: md5 has other contents`;
}

function invalid(file: string, issues: readonly Issue[]): CliError {
  const errors = issues.filter((issue) => issue.severity === 'error');
  return new CliError(
    EXIT.invalid,
    'document',
    errors.map(formatIssue).join('\n'),
    `Correct ${file}; \`bulkhead config check ${file}\` looks again.`,
  );
}

async function serve(
  options: GatewayProcessOptions,
  backend: Backend,
  listen: string,
  log: Log,
): Promise<{ close(): Promise<void> } | undefined> {
  try {
    return await options.serve(backend, listen);
  } catch (error) {
    log.warn(`no control socket: ${(error as Error).message}`);
    return undefined;
  }
}

function reportReload({ applied, changes, issues }: ReloadStatus, log: Log): void {
  for (const issue of issues) log[issue.severity === 'error' ? 'error' : 'warn'](formatIssue(issue));
  if (!applied) return log.error('the document has errors: nothing was changed');
  log.info(changes.length === 0 ? 'reloaded: nothing has changed' : `reloaded: ${changes.length} changes`);
  for (const change of changes) log.info(change);
}

/** Where Wireshark's tables go, if anywhere. */
class Keys {
  readonly #host: Host;
  readonly #preferred: string | undefined;
  readonly #log: Log;
  #folder: string | null = null;

  constructor(host: Host, preferred: string | undefined, log: Log) {
    this.#host = host;
    this.#preferred = preferred;
    this.#log = log;
  }

  get status(): KeysStatus {
    return { enabled: this.#folder !== null, folder: this.#folder };
  }

  set(enabled: boolean, folder: string | undefined): KeysStatus {
    const target = enabled ? (folder ?? this.#preferred ?? 'bulkhead-keys') : undefined;
    try {
      this.#host.setKeyFolder(target);
      this.#folder = target ?? null;
      if (target !== undefined) this.#log.warn(`every key of this gateway is written to ${target}`);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      throw new ApiProblem(403, 'keys', `keys are not written: ${error.message}`, error.advice);
    }
    return this.status;
  }
}
