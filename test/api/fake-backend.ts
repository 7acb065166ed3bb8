import type {
  Backend,
  BgpBackend,
  BgpLine,
  KeysStatus,
  LivePacket,
  MrtPage,
  PingOrder,
  ReloadStatus,
  SaKind,
} from '../../src/api/index.ts';
import type { RouteQuery } from '../../src/compartment/index.ts';
import type { BgpPeerStatus, TraceOrder, TraceStage } from '../../src/gateway/index.ts';
import type {
  ChildSaStatus,
  ConnectionStatus,
  GatewayStatus,
  IkeSaStatus,
  NatSessionStatus,
  NatStatus,
  NeighbourStatus,
  NetworkStatus,
  NextHopStatus,
  PingStatus,
  RecordStatus,
  RouteStatus,
  TenantStatus,
  WorkerStatus,
} from '../../src/gateway/status.ts';
import { type Address, formatAddress } from '../../src/ip/index.ts';
import type { NatSessionFilter } from '../../src/nat/index.ts';

/** A gateway made of data: tests change the data and say `changed()`. */
export class FakeBackend implements Backend {
  readonly commands: string[] = [];
  readonly pings: PingOrder[] = [];
  gateway: GatewayStatus = GATEWAY;
  list: ConnectionStatus[] = [
    connection('fabrikam', 'hq'),
    connection('contoso', 'hq'),
    connection('contoso', 'branch'),
  ];
  keysStatus: KeysStatus = { enabled: false, folder: null };
  reloadStatus: ReloadStatus = { applied: true, changes: [], issues: [] };
  text = 'version: 1\n';
  answers: PingStatus[] = [];
  readonly traces: TraceOrder[] = [];
  stages: TraceStage[] = STAGES;
  live: LivePacket[] = [];
  lines: BgpLine[] = [];
  pages: MrtPage[] = [];
  pingAborted = false;
  readonly #watchers = new Set<() => void>();

  get watchers(): number {
    return this.#watchers.size;
  }

  replace(tenant: string, name: string, change: Partial<ConnectionStatus>): void {
    this.list = this.list.map((c) => (c.tenant === tenant && c.name === name ? { ...c, ...change } : c));
  }

  changed(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }

  status = () => this.gateway;
  tenantNames = () => TENANTS.map(({ name }) => name);
  tenants = () => TENANTS;
  routes = (tenant: string, { offset = 0, limit = 0, ...rest }: RouteQuery) => {
    this.commands.push(`routes ${tenant} ${JSON.stringify(rest)}`);
    return tenant === 'fabrikam' ? ROUTES.slice(offset, offset + limit) : [];
  };
  connections = () => this.list;
  up = (tenant: string, name: string) => void this.commands.push(`up ${tenant}/${name}`);
  down = (tenant: string, name: string, what: SaKind) => void this.commands.push(`down ${tenant}/${name} ${what}`);
  rekey = (tenant: string, name: string, what: SaKind) => void this.commands.push(`rekey ${tenant}/${name} ${what}`);
  watch(changed: () => void): () => void {
    this.#watchers.add(changed);
    return () => void this.#watchers.delete(changed);
  }
  explain = (_tenant: string, address: string) => {
    return /^[0-9.]+$/.test(address)
      ? {
          address,
          chosen: ROUTES[0],
          why: 'the longest prefix',
          passedOver: [{ route: ROUTES[1], why: 'shorter' }],
        }
      : undefined;
  };
  async *ping(_tenant: string, order: PingOrder, signal: AbortSignal): AsyncGenerator<PingStatus> {
    this.pings.push(order);
    signal.addEventListener('abort', () => {
      this.pingAborted = true;
    });
    yield* this.answers;
  }
  nats = () => NATS;
  natSessions = (tenant: string, filter: NatSessionFilter, most: number) => {
    this.commands.push(`nat-sessions ${tenant} ${JSON.stringify(filter)} ${most}`);
    return Promise.resolve(SESSIONS);
  };
  flushNat = (tenant: string, filter: NatSessionFilter) => {
    this.commands.push(`nat-flush ${tenant} ${JSON.stringify(filter)}`);
    return Promise.resolve(2);
  };
  neighbours = (_tenant: string) => Promise.resolve(NEIGHBOURS);
  trace = (order: TraceOrder) => {
    this.traces.push(order);
    return Promise.resolve(this.stages);
  };
  async *tap(tenant: string | undefined, _signal: AbortSignal): AsyncGenerator<LivePacket> {
    this.commands.push(`tap ${tenant ?? 'all'}`);
    yield* this.live;
  }
  readonly bgp: BgpBackend = {
    summaries: () => [],
    peers: (tenant = 'contoso') => (tenant === 'contoso' ? [BGP_PEER] : []),
    routes: (tenant) => (tenant === 'contoso' ? [] : undefined),
    received: () => [],
    advertised: () => [],
    explain: () => ({ asked: '10.2.0.1', prefix: null, paths: [], told: [], fib: [], fibWhy: 'no route to 10.2.0.1' }),
    follow: (whom) => {
      this.commands.push(`follow ${JSON.stringify(whom)}`);
      return this.said();
    },
    dump: (tenant) => (tenant === 'contoso' ? this.paged() : undefined),
    record: (whom) => {
      this.commands.push(`record ${JSON.stringify(whom)}`);
      return whom.tenant === 'contoso' ? this.paged() : undefined;
    },
    watch: (_tenant, changed) => this.watch(changed),
    command: (tenant, peer, what, text) => void this.commands.push(`bgp ${tenant}/${peer} ${what} ${text}`.trimEnd()),
  };
  async *said(): AsyncGenerator<BgpLine> {
    yield* this.lines;
  }
  async *paged(): AsyncGenerator<MrtPage> {
    yield* this.pages;
  }
  networks = () => NATS.map(({ tenant }) => networkOf(tenant));
  records = () => RECORDS;
  nextHop = (tenant: string, vsid: number, source: Address, destination: Address): NextHopStatus | undefined =>
    tenant === 'nobody'
      ? undefined
      : {
          chosen: {
            vsid,
            nextHop: formatAddress(destination),
            mac: '00:15:5d:00:00:10',
            pa: '192.168.50.21',
            port: null,
          },
          why: `${formatAddress(destination)} is at 192.168.50.21`,
          steps: [`from ${formatAddress(source)}`, `${formatAddress(destination)} is at 192.168.50.21`],
        };
  keys = () => this.keysStatus;
  setKeys(enabled: boolean, folder: string | undefined): KeysStatus {
    this.keysStatus = { enabled, folder: enabled ? (folder ?? '/var/lib/keys') : null };
    return this.keysStatus;
  }
  reload = () => Promise.resolve(this.reloadStatus);
  configText = () => this.text;
}

export function worker(number: number, change: Partial<WorkerStatus> = {}): WorkerStatus {
  const packets = { poolSize: 1024, inUse: 3, peak: 40, refused: 0 };
  const healthy = { thread: 'own', state: 'running', engine: 'node', tenants: 1, packets, drops: {} } as const;
  return { worker: number, ...healthy, ...change };
}

export const GATEWAY: GatewayStatus = {
  name: 'gw1',
  version: '0.1.0',
  upSeconds: 11_520,
  state: 'ok',
  problems: [],
  listen: [
    { address: '203.0.113.10', port: 500, carrier: 'udp' },
    { address: '203.0.113.10', port: 4500, carrier: 'udp' },
    { address: '203.0.113.10', port: 0, carrier: 'ip-50' },
  ],
  tenants: 2,
  connections: { total: 3, up: 1, failed: 0 },
  ikeSas: 1,
  ikeAccepted: 0,
  halfOpen: 0,
  childSas: 1,
  packets: { poolSize: 1024, inUse: 3, peak: 40, refused: 0 },
  workers: [worker(0, { thread: 'main', tenants: 2 })],
  countersRefused: 0,
  drops: { ttl: 1, 'no-route': 7, short: 0 },
  engine: 'node',
  memoryBytes: 61_000_000,
};

const natOf = (tenant: string): NatStatus => ({
  tenant,
  externalAddress: tenant === 'fabrikam' ? '203.0.113.50' : '203.0.113.51',
  filtering: 'address',
  rules: 1,
  sessionLimit: 65_536,
  sessions: 2,
  created: 14,
  expired: 12,
  flushed: 0,
  refusedNoPort: 1,
  refusedLimit: 0,
  packetsOut: 140,
  packetsIn: 120,
  icmpErrors: 0,
  fragments: 0,
  fragmentsEvicted: 0,
  waitingFollowed: 0,
  waitingLost: 0,
  drops: { natFiltered: 3 },
});

export const networkOf = (tenant: string): NetworkStatus => ({
  tenant,
  counters: {
    fromPorts: 10,
    fromFabric: 20,
    toPorts: 20,
    toFabric: 9,
    routed: 4,
    replicated: 1,
    copies: 2,
    neighboursAnswered: 3,
    echoReplies: 0,
    learned: 1,
    moved: 0,
    aged: 0,
    learnRefused: 0,
    recordsRefused: 0,
    routesRefused: 0,
  },
  drops: { spoofed: 1 },
});

export const NATS: readonly NatStatus[] = [natOf('fabrikam'), natOf('contoso')];

export const SESSIONS: readonly NatSessionStatus[] = [
  {
    protocol: 'tcp',
    inner: '10.1.0.10:5000',
    external: '203.0.113.50:5000',
    remote: '192.0.2.80:443',
    state: 'established',
    fromOutside: false,
    secondsLeft: 1790,
    packetsOut: 10,
    octetsOut: 1400,
    packetsIn: 9,
    octetsIn: 812,
  },
  {
    protocol: 'icmp',
    inner: '10.1.0.10:77',
    external: '203.0.113.50:77',
    remote: '192.0.2.80',
    state: 'answered',
    fromOutside: false,
    secondsLeft: 30,
    packetsOut: 1,
    octetsOut: 84,
    packetsIn: 1,
    octetsIn: 84,
  },
];

const NO_MESSAGES = { open: 0, update: 0, notification: 0, keepalive: 0, routeRefresh: 0 };

export const BGP_PEER: BgpPeerStatus = {
  tenant: 'contoso',
  name: 'hq',
  address: '10.2.0.1',
  remoteAs: 65_020,
  localAs: 65_010,
  version: 4,
  msgRcvd: 0,
  msgSent: 0,
  tableVersion: 0,
  outq: 0,
  inq: 0,
  peerUptime: 'never',
  peerUptimeMsec: 0,
  pfxRcd: 0,
  pfxSnt: 0,
  state: 'Idle',
  peerState: 'Admin',
  connectionsEstablished: 0,
  connectionsDropped: 0,
  idType: 'ipv4',
  why: 'not started',
  kind: 'external',
  localId: '10.1.0.1',
  shutdown: true,
  md5: false,
  import: 'all',
  export: 'all',
  pfxAccepted: 0,
  families: [],
  capabilitiesSent: [],
  capabilitiesReceived: [],
  messagesReceived: NO_MESSAGES,
  messagesSent: NO_MESSAGES,
  octetsReceived: 0,
  octetsSent: 0,
  collisions: 0,
};

export const STAGES: TraceStage[] = [
  { stage: 'door', decision: 'NVGRE, VSID 5001', why: '00:15:5d:00:00:10 at 192.168.50.21', detail: [] },
  {
    stage: 'fib',
    decision: '0.0.0.0/0 by outside',
    why: 'NAT behind 203.0.113.50',
    detail: ['passed over: 0.0.0.0/0 by hq: metric 1'],
  },
  { stage: 'out', decision: 'frame', why: 'the port takes frames', detail: [] },
];

export const NEIGHBOURS: readonly NeighbourStatus[] = [
  {
    interface: 'vsid:5001',
    address: '10.1.0.10',
    mac: '00:15:5d:00:00:10',
    state: 'reachable',
    forSeconds: 12,
    waiting: 0,
  },
  { interface: 'vsid:5001', address: '10.1.0.11', mac: null, state: 'incomplete', forSeconds: 1, waiting: 3 },
];

export const RECORDS: readonly RecordStatus[] = ['fabrikam', 'contoso'].flatMap((tenant, i): RecordStatus[] => [
  {
    tenant,
    vsid: 5001 + i,
    ca: '10.1.0.10',
    mac: '00:15:5d:00:00:10',
    pa: '192.168.50.21',
    type: 'static',
    origin: 'policy',
  },
  {
    tenant,
    vsid: 5001 + i,
    ca: '10.1.0.12',
    mac: '00:15:5d:00:00:12',
    pa: '192.168.50.22',
    type: 'dynamic',
    origin: 'learned',
    seenSecondsAgo: 4,
  },
]);

/** Of the first tenant. */
export const ROUTES = [
  {
    prefix: '10.2.0.0/24',
    via: 'hq',
    origin: 'connection',
    preference: 5,
    metric: 1,
    why: 'selector of fabrikam/hq',
  },
  {
    prefix: '10.0.0.0/8',
    via: 'inside',
    nextHop: '10.1.0.254',
    origin: 'static',
    preference: 1,
    metric: 0,
    why: 'the document',
  },
] as const satisfies readonly RouteStatus[];

export const TENANTS: TenantStatus[] = [
  {
    name: 'fabrikam',
    compartment: 2,
    worker: 0,
    interfaces: [
      {
        name: 'inside',
        kind: 'tun',
        device: 'bh-fabrikam',
        state: 'up',
        mtu: 1500,
        addresses: ['10.1.0.1/24'],
        rxPackets: 10,
        rxBytes: 1400,
        txPackets: 9,
        txBytes: 812,
      },
    ],
    subnets: [{ vsid: 5001, interface: 'vsid:5001', addresses: ['10.1.0.1/24'] }],
    direct: false,
    nat: natOf('fabrikam'),
    network: networkOf('fabrikam'),
    routes: 2,
    connections: ['hq'],
    drops: { 'no-route': 7 },
  },
  {
    name: 'contoso',
    compartment: 3,
    worker: 0,
    interfaces: [],
    subnets: [],
    direct: false,
    routes: 0,
    connections: ['hq', 'branch'],
    drops: {},
  },
];

export const connection = (tenant: string, name: string, change: Partial<ConnectionStatus> = {}): ConnectionStatus => ({
  tenant,
  name,
  state: 'down',
  why: 'waits for the first packet',
  start: 'demand',
  localAddress: '203.0.113.10',
  remoteAddress: '198.51.100.20',
  localId: 'gw1.example',
  remoteId: 'hq.example',
  ikeSas: [],
  childSas: [],
  routes: ['10.2.0.0/24'],
  mtu: 1422,
  waitingPackets: 0,
  ...change,
});

export const ikeSa = (id: number): IkeSaStatus => ({
  id,
  spiI: '0000000000000001',
  spiR: '0000000000000002',
  role: 'initiator',
  state: 'established',
  suite: 'aes256gcm16-prfsha384-ecp384',
  local: '203.0.113.10:4500',
  remote: '198.51.100.20:4500',
  nat: 'none',
  establishedSeconds: 65,
  rekeySeconds: 27_000,
  retransmits: 0,
});

export const childSa = (id: number): ChildSaStatus => ({
  id,
  ikeId: 1,
  tenant: 'fabrikam',
  connection: 'hq',
  state: 'active',
  spiIn: 'c0000001',
  spiOut: 'c0000002',
  suite: 'aes256gcm16',
  esn: true,
  carrier: 'udp',
  local: ['10.1.0.0/24'],
  remote: ['10.2.0.0/24'],
  bytesIn: 1_400_000,
  packetsIn: 1000,
  bytesOut: 812,
  packetsOut: 9,
  sequenceIn: 1000,
  sequenceOut: 9,
  installedSeconds: 65,
  rekeySeconds: 3200,
  drops: { replay: 2 },
});
