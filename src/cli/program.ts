/**
 * Every command with its flags: the table that `--help` shows. What a command does is imported when it is called.
 *
 * `lab` and `decode` bring their own commander commands; they are loaded only when named.
 */
import { Command } from 'commander';
import { ROUTE_ORIGINS } from '../compartment/contract.ts';
import { COMMON, JSON_FLAG, TENANT, WAIT } from './common-flags.ts';
import { addLeaf, decimal, type Flag, type Leaf, oneOf, prefixText, someOf, wholeNumber } from './flags.ts';
import type { Io } from './io.ts';
import { pageFlags } from './page.ts';
import { BGP_LEAVES } from './program-bgp.ts';
import { BGP_REPLAY } from './program-bgp-replay.ts';
import { NETWORK_LEAVES } from './program-network.ts';

const CONFIG: Flag = { flags: '-c, --config <file>', text: 'the document' };
const WHAT: Flag = { flags: '--what <sa>', text: 'ike (with its Child SAs) or child', parse: oneOf('ike', 'child') };

const LEAVES: readonly Leaf[] = [
  {
    usage: 'run [file]',
    text: 'Run a gateway, or a virtualization host',
    example: 'bulkhead run -c gateway.yaml',
    flags: [
      CONFIG,
      { flags: '--api <socket>', text: 'control socket instead of the document’s; none for none' },
      { flags: '--state <file>', text: 'who has which external address; default /var/lib/bulkhead/NAME.json' },
      {
        flags: '--log-level <level>',
        text: 'debug, info, warn or error',
        parse: oneOf('debug', 'info', 'warn', 'error'),
      },
      { flags: '--log-format <format>', text: 'auto, words or json', parse: oneOf('auto', 'words', 'json') },
    ],
    run: async (call) => (await import('./run.ts')).run(call),
  },
  {
    usage: 'status',
    text: 'Show what is wrong, then how the gateway is doing; exit 3 when degraded',
    example: 'bulkhead status',
    flags: COMMON,
    run: async (call) => (await import('./status.ts')).showStatus(call),
  },
  {
    usage: 'top',
    text: 'Show live rates: packets, bits and drops a second of tenants, connections and SAs',
    example: 'bulkhead top --sort drops',
    flags: [
      { flags: '--interval <seconds>', text: 'between two looks, default 1', parse: decimal(0.1, 3600) },
      { flags: '-n, --count <number>', text: 'intervals to show, default until Ctrl-C', parse: wholeNumber(1, 1e9) },
      {
        flags: '--sort <by>',
        text: 'traffic (default), packets, in, out, drops or name',
        parse: oneOf('traffic', 'packets', 'in', 'out', 'drops', 'name'),
      },
      ...COMMON,
    ],
    run: async (call) => (await import('./top.ts')).top(call),
  },
  {
    usage: 'tenants',
    text: 'Show tenants and their interfaces',
    example: 'bulkhead tenants --json',
    flags: COMMON,
    run: async (call) => (await import('./status.ts')).showTenants(call),
  },
  {
    usage: 'connections list',
    text: 'Show all connections (the default)',
    example: 'bulkhead connections --tenant fabrikam',
    flags: [TENANT, ...COMMON],
    isDefault: true,
    run: async (call) => (await import('./connections.ts')).listConnections(call),
  },
  {
    usage: 'connections show <connection>',
    text: 'Show one connection, its SAs and its last failure; exit 3 when it failed',
    example: 'bulkhead connections show fabrikam/hq',
    flags: [TENANT, ...COMMON],
    run: async (call) => (await import('./connections.ts')).showConnection(call),
  },
  {
    usage: 'connections up <connection>',
    text: 'Open a connection',
    example: 'bulkhead connections up fabrikam/hq --wait 10',
    flags: [WAIT, TENANT, ...COMMON],
    run: async (call) => (await import('./connections.ts')).command(call, 'up'),
  },
  {
    usage: 'connections down <connection>',
    text: 'Close a connection, or only its Child SAs',
    example: 'bulkhead connections down fabrikam/hq',
    flags: [WAIT, WHAT, TENANT, ...COMMON],
    run: async (call) => (await import('./connections.ts')).command(call, 'down'),
  },
  {
    usage: 'connections rekey <connection>',
    text: 'Rekey the Child SAs, or with --what ike the IKE SA',
    example: 'bulkhead connections rekey fabrikam/hq --what ike --wait',
    flags: [WAIT, WHAT, TENANT, ...COMMON],
    run: async (call) => (await import('./connections.ts')).command(call, 'rekey'),
  },
  {
    usage: 'sas',
    text: 'Show IKE SAs and Child SAs',
    example: 'bulkhead sas --tenant fabrikam',
    flags: [TENANT, ...COMMON],
    run: async (call) => (await import('./status.ts')).showSas(call),
  },
  {
    usage: 'routes',
    text: 'Show the routes of a tenant, or why a packet goes where it goes',
    example: 'bulkhead routes --tenant fabrikam --within 10.0.0.0/8 --origin bgp,static',
    flags: [
      { ...TENANT, text: 'whose routes' },
      ...pageFlags('routes'),
      { flags: '--prefix <prefix>', text: 'only routes of exactly this one', parse: prefixText },
      {
        flags: '--origin <list>',
        text: `only ${ROUTE_ORIGINS.join(', ')}; several with commas`,
        parse: someOf(...ROUTE_ORIGINS),
      },
      { flags: '--explain <address>', text: 'where a packet to this address would go, and why' },
      ...COMMON,
    ],
    run: async (call) => (await import('./status.ts')).showRoutes(call),
  },
  ...BGP_LEAVES,
  BGP_REPLAY,
  ...NETWORK_LEAVES,
  {
    usage: 'ping <address>',
    text: 'Ping from inside a tenant',
    example: 'bulkhead ping --tenant fabrikam 10.2.0.5',
    flags: [
      { ...TENANT, text: 'from inside this tenant' },
      { flags: '-n, --count <number>', text: 'requests to send, default 4', parse: wholeNumber(1, 10_000) },
      { flags: '--interval <milliseconds>', text: 'between requests, default 1000', parse: wholeNumber(10, 60_000) },
      { flags: '--timeout <milliseconds>', text: 'for an answer, default 2000', parse: wholeNumber(10, 60_000) },
      { flags: '--size <octets>', text: 'of data, default 56', parse: wholeNumber(0, 9000) },
      { flags: '--ttl <hops>', text: 'default 64', parse: wholeNumber(1, 255) },
      { flags: '--source <address>', text: 'one of the gateway’s own in that tenant' },
      ...COMMON,
    ],
    run: async (call) => (await import('./ping.ts')).ping(call),
  },
  {
    usage: 'keys show',
    text: 'Show where keys are written for Wireshark, if they are (the default)',
    example: 'bulkhead keys show',
    flags: COMMON,
    isDefault: true,
    run: async (call) => (await import('./keys.ts')).showKeys(call),
  },
  {
    usage: 'keys on',
    text: 'Write keys for Wireshark: whoever reads them reads all traffic',
    example: 'bulkhead keys on --folder /root/keys',
    flags: [{ flags: '--folder <folder>', text: 'where to, default the document’s keyLog' }, ...COMMON],
    run: async (call) => (await import('./keys.ts')).switchKeys(call, true),
  },
  {
    usage: 'keys off',
    text: 'Stop writing keys',
    example: 'bulkhead keys off',
    flags: COMMON,
    run: async (call) => (await import('./keys.ts')).switchKeys(call, false),
  },
  {
    usage: 'config check [file]',
    text: 'Check a document: every problem at once; exit 5 with errors',
    example: 'bulkhead config check gateway.yaml',
    flags: [CONFIG, JSON_FLAG],
    run: async (call) => (await import('./config.ts')).checkConfig(call),
  },
  {
    usage: 'config show [file]',
    text: 'Show the effective document, of a file or of the running gateway',
    example: 'bulkhead config show gateway.yaml',
    flags: [CONFIG, ...COMMON],
    run: async (call) => (await import('./config.ts')).showConfig(call),
  },
  {
    usage: 'config diff [older] [newer]',
    text: 'Show what a reload would change: the running gateway against a file, or two files',
    example: 'bulkhead config diff gateway.yaml',
    flags: [CONFIG, ...COMMON],
    run: async (call) => (await import('./config.ts')).diffConfig(call),
  },
  {
    usage: 'reload',
    text: 'Read the document again and apply what changed; exit 5 when it has errors',
    example: 'bulkhead reload',
    flags: COMMON,
    run: async (call) => (await import('./config.ts')).reload(call),
  },
  {
    usage: 'doctor',
    text: 'Look at this host: what is missing and what it costs',
    example: 'bulkhead doctor -c gateway.yaml',
    flags: [CONFIG, JSON_FLAG],
    run: async (call) => (await import('./doctor.ts')).showDoctor(call),
  },
  {
    usage: 'bench',
    text: 'Measure this machine: two gateways and a tunnel between them beside the bare network, and the crypto engines',
    example: 'bulkhead bench --suite aes256gcm16 --rounds 5',
    flags: [
      { flags: '--seconds <seconds>', text: 'for each measurement, default 0.8', parse: decimal(0.05, 60) },
      { flags: '--rounds <number>', text: 'medians of so many, default 2', parse: wholeNumber(1, 100) },
      { flags: '--suite <suite>', text: 'of ESP, as documents name it; default aes128gcm16' },
      {
        flags: '--only <parts>',
        text: 'of tcp, udp, ping, ike, crypto; several with commas',
        parse: someOf('tcp', 'udp', 'ping', 'ike', 'crypto'),
      },
      { flags: '--loopback', text: 'without network namespaces, also where there could be some' },
      JSON_FLAG,
    ],
    run: async (call) => (await import('./bench.ts')).bench(call),
  },
  {
    usage: 'bench-traffic',
    text: 'Make traffic for bench',
    example: 'bulkhead bench',
    flags: [],
    isHidden: true,
    run: async () => (await import('./bench/traffic.ts')).traffic(),
  },
];

const PARENTS: Readonly<Record<string, string>> = {
  connections: 'Show and command connections',
  bgp: 'Show BGP sessions and routes, command peers, and replay files',
  policy: 'Try BGP policies',
  nat: 'Show NAT and its sessions, and end them',
  nvgre: 'Show the virtual networks',
  keys: 'Write keys for Wireshark',
  config: 'Check, show and compare documents',
};

interface Guest {
  readonly name: string;
  readonly text: string;
  readonly load: () => Promise<Command>;
}

const LAB_FILE: string = './lab.ts';
const LAB: Guest = {
  name: 'lab',
  text: 'A gateway, virtualization hosts, sites, and two tenants with the same addresses, in one process: needs no rights and no peer',
  load: async () => ((await import(LAB_FILE)) as { labCommand: () => Command }).labCommand(),
};
const DECODE: Guest = {
  name: 'decode',
  text: 'Print the IKE and ESP packets of a capture, decrypted where keys are given',
  load: async () => (await import('./decode.ts')).decodeCommand(),
};

const EXITS = `
Exit codes: 0 ok, 1 error, 2 usage, 3 degraded, 4 no gateway answers, 5 document invalid, 6 no permission,
124 the wait was over. Every flag has a twin in the environment, except decode’s --hex: --api is BULKHEAD_API.

Examples:
  bulkhead lab
  bulkhead run -c gateway.yaml
  bulkhead status
  bulkhead top
  bulkhead bench`;

/** `exit` is called with the exit code of the command that ran. */
export async function createProgram(argv: readonly string[], io: Io, exit: (code: number) => void): Promise<Command> {
  const program = new Command('bulkhead')
    .description('Multi-tenant site-to-site VPN and routing gateway')
    .enablePositionalOptions()
    .addHelpText('after', EXITS);
  const word = argv[0] === 'help' ? argv[1] : argv[0];
  const addGuest = async ({ name, text, load }: Guest): Promise<void> => {
    const guest = name === word ? await load() : new Command(name).description(text);
    program.addCommand(guest.hook('postAction', () => exit(Number(process.exitCode ?? 0))));
  };
  await addGuest(LAB);
  for (const leaf of LEAVES) addLeaf(program, PARENTS, leaf, io, exit);
  await addGuest(DECODE);
  program.version(await version(argv), '-V, --version');
  settle(program, io);
  return program;
}

/** Output and errors of every command go where `io` says; nothing ends the process. */
function settle(command: Command, io: Io): void {
  command.exitOverride();
  command.configureOutput({
    writeOut: (text) => void io.stdout.write(text),
    writeErr: (text) => void io.stderr.write(text),
    getOutHasColors: () => false,
    getErrHasColors: () => false,
  });
  for (const child of command.commands) settle(child, io);
}

const version = async (argv: readonly string[]): Promise<string> =>
  argv.includes('-V') || argv.includes('--version') ? (await import('./version.ts')).VERSION : '';
