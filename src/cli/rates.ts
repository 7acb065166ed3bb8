/**
 * Rates from two successive looks at the cumulative counters of a gateway. Pure: each look brings its moment.
 *
 * An SA is known by its connection, its id and its inbound SPI, so one that appears counts from zero. A connection is the sum of
 * its SAs, a tenant the sum of its connections: a rekey, which replaces SAs, does not interrupt either.
 * Limits: what an SA carried between the last look and its end is not seen (a replaced one stays for five seconds, so looks that
 * are closer miss nothing); drops of an SA leave the sums of tenant and gateway with it, and a sum that shrinks counts as no drop.
 */
import type { Millis } from '../core/index.ts';
import type {
  ChildSaStatus,
  ConnectionState,
  ConnectionStatus,
  GatewayStatus,
  TenantStatus,
  WorkerStatus,
} from '../gateway/status.ts';

export interface Look {
  /** Of a clock that never goes back. */
  readonly at: Millis;
  /** The same moment in ISO 8601. */
  readonly moment: string;
  readonly status: GatewayStatus;
  readonly tenants: readonly TenantStatus[];
  readonly connections: readonly ConnectionStatus[];
}

export interface Flow {
  readonly packetsPerSecond: number;
  /** Of the packets inside the tunnel. */
  readonly bitsPerSecond: number;
}

export interface Rates {
  /** From the peers. */
  readonly in: Flow;
  /** To the peers. */
  readonly out: Flow;
  /** By reason; only those that occurred. */
  readonly dropsPerSecond: Readonly<Record<string, number>>;
}

export interface TenantRates extends Rates {
  readonly tenant: string;
}

export interface ConnectionRates extends TenantRates {
  readonly connection: string;
  readonly state: ConnectionState;
}

export interface ChildSaRates extends TenantRates {
  readonly connection: string;
  readonly id: number;
  readonly state: ChildSaStatus['state'];
  readonly suite: string;
}

/** A worker between the looks; its packets are those of its tenants. */
export interface WorkerRates extends Omit<WorkerStatus, 'drops'>, Rates {}

type Kept = 'name' | 'version' | 'state' | 'upSeconds' | 'problems' | 'packets' | 'engine' | 'memoryBytes';

/** The gateway between two looks. What is no rate is as the second one saw it. */
export interface GatewayRates extends Pick<GatewayStatus, Kept>, Rates {
  readonly moment: string;
  /** Between the looks. */
  readonly seconds: number;
  readonly workers: readonly WorkerRates[];
  readonly tenants: readonly TenantRates[];
  readonly connections: readonly ConnectionRates[];
  readonly childSas: readonly ChildSaRates[];
}

export function ratesBetween(before: Look, after: Look): GatewayRates {
  const seconds = Math.max(after.at - before.at, 1) / 1000;
  const restarted = after.status.upSeconds < before.status.upSeconds;
  const { status: last, tenants: lastTenants, connections: lastConnections } = restarted ? NOTHING : before;
  const known = new Map(lastConnections.flatMap((c) => c.childSas).map((sa) => [keyOf(sa), sa]));
  const childSas = after.connections
    .flatMap((connection) => connection.childSas)
    .map(
      (sa): ChildSaRates => ({
        tenant: sa.tenant,
        connection: sa.connection,
        id: sa.id,
        state: sa.state,
        suite: sa.suite,
        ...saRates(known.get(keyOf(sa)), sa, seconds),
      }),
    );
  const connections = after.connections.map(
    ({ tenant, name, state }): ConnectionRates => ({
      tenant,
      connection: name,
      state,
      ...sum(childSas.filter((sa) => sa.tenant === tenant && sa.connection === name)),
    }),
  );
  const tenants = after.tenants.map(({ name, drops }): TenantRates => {
    const earlier = lastTenants.find((tenant) => tenant.name === name)?.drops ?? {};
    const { in: received, out } = sum(connections.filter(({ tenant }) => tenant === name));
    return { tenant: name, in: received, out, dropsPerSecond: dropRates(earlier, drops, seconds) };
  });
  const workers = after.status.workers.map(({ drops, ...worker }): WorkerRates => {
    const own = after.tenants.filter((tenant) => tenant.worker === worker.worker).map(({ name }) => name);
    const { in: received, out } = sum(tenants.filter(({ tenant }) => own.includes(tenant)));
    const earlier = last?.workers.find((known) => known.worker === worker.worker)?.drops ?? {};
    return { ...worker, in: received, out, dropsPerSecond: dropRates(earlier, drops, seconds) };
  });
  const { name, version, state, upSeconds, problems, packets, engine, memoryBytes, drops } = after.status;
  const { in: received, out } = sum(connections);
  return {
    moment: after.moment,
    seconds: rounded(seconds),
    ...{ name, version, state, upSeconds, problems, packets, engine },
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
    ...{ in: received, out, dropsPerSecond: dropRates(last?.drops ?? {}, drops, seconds) },
    ...{ workers, tenants, connections, childSas },
  };
}

function saRates(before: ChildSaStatus | undefined, after: ChildSaStatus, seconds: number): Rates {
  const rate = (counter: 'packetsIn' | 'bytesIn' | 'packetsOut' | 'bytesOut', each: number): number =>
    rounded((Math.max(0, after[counter] - (before?.[counter] ?? 0)) * each) / seconds);
  return {
    in: { packetsPerSecond: rate('packetsIn', 1), bitsPerSecond: rate('bytesIn', 8) },
    out: { packetsPerSecond: rate('packetsOut', 1), bitsPerSecond: rate('bytesOut', 8) },
    dropsPerSecond: dropRates(before?.drops ?? {}, after.drops, seconds),
  };
}

function dropRates(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
  seconds: number,
): Record<string, number> {
  const rates: Record<string, number> = {};
  for (const [reason, count] of Object.entries(after)) {
    const fresh = count - (before[reason] ?? 0);
    if (fresh > 0) rates[reason] = rounded(fresh / seconds);
  }
  return rates;
}

function sum(parts: readonly Rates[]): Rates {
  const flow = (of: (part: Rates) => Flow): Flow => ({
    packetsPerSecond: rounded(parts.reduce((total, part) => total + of(part).packetsPerSecond, 0)),
    bitsPerSecond: rounded(parts.reduce((total, part) => total + of(part).bitsPerSecond, 0)),
  });
  const drops: Record<string, number> = {};
  for (const { dropsPerSecond } of parts)
    for (const [reason, rate] of Object.entries(dropsPerSecond)) drops[reason] = rounded((drops[reason] ?? 0) + rate);
  return { in: flow((part) => part.in), out: flow((part) => part.out), dropsPerSecond: drops };
}

const keyOf = ({ tenant, connection, id, spiIn }: ChildSaStatus): string => `${tenant}/${connection}{${id}} ${spiIn}`;

/** A thousandth of a packet a second is as exact as anybody reads. */
const rounded = (value: number): number => Math.round(value * 1000) / 1000;

/** What a gateway that began anew has counted before. */
const NOTHING: Pick<Look, 'tenants' | 'connections'> & { readonly status: undefined } = {
  status: undefined,
  tenants: [],
  connections: [],
};
