/**
 * Text to the validated document: every issue at once, each at its place.
 *
 * Entries (gateway, host, each tenant, subnet, record, interface, route, connection) are read one by one, so that a mistake in
 * one hides none in another; `rules.ts` then looks at what spans several of them. A document comes out only without errors;
 * warnings let it pass.
 */
import { parseIdentity, parseProposal } from '../ike/index.ts';
import { type Address, formatAddress, type Prefix, sameAddress } from '../ip/index.ts';
import type { ConnectionConfig, Document, Issue } from './contract.ts';
import { type Draft, EXTERNAL_BGP, type TenantDraft } from './draft.ts';
import { finishGateway, finishHost, finishHostTenant } from './finish.ts';
import { formatPath, ISSUE_LIMIT, IssueList } from './issue.ts';
import { readBgp } from './read-bgp.ts';
import * as network from './read-network.ts';
import { keysOf, nameOf, Reader } from './reader.ts';
import { checkRules } from './rules.ts';
import * as schema from './schema.ts';
import { externalBgpSchema } from './schema-bgp.ts';
import { type Path, parseSource } from './source.ts';
import { kindOf } from './words.ts';

export interface ReadResult {
  /** Absent when an issue is an error. */
  readonly document?: Document;
  /** In the order of the text. */
  readonly issues: readonly Issue[];
}

/** `fileName` only stands in the issues. Never throws for what a text can hold. */
export function readDocument(text: string, fileName: string): ReadResult {
  const source = parseSource(text);
  if (source.problems.length > 0) {
    const issues = source.problems.map(
      ({ path, ...rest }): Issue => ({
        severity: 'error',
        file: fileName,
        ...rest,
        path: formatPath(path),
      }),
    );
    return { issues: issues.slice(0, ISSUE_LIMIT) };
  }
  const issues = new IssueList(fileName, source);
  const reading = new Reading(issues);
  const document = reading.document(source.value);
  const found = issues.sorted();
  return issues.hasErrors || document === undefined ? { issues: found } : { document, issues: found };
}

class Reading {
  readonly #issues: IssueList;
  readonly #reader: Reader;

  constructor(issues: IssueList) {
    this.#issues = issues;
    this.#reader = new Reader(issues);
  }

  document(value: unknown): Document | undefined {
    if (value === null || kindOf(value) !== 'a section') {
      this.#issues.error(
        [],
        value === null ? 'the document is empty' : `the document is ${kindOf(value)}, not sections`,
      );
      return undefined;
    }
    const shell = this.#reader.parse(schema.documentSchema, value, []);
    const draft = this.#draft(value as Record<string, unknown>);
    checkRules(draft, this.#issues);
    if (this.#issues.hasErrors || shell === undefined) return undefined;
    const { listen } = shell.api.listen;
    const common = { version: 1, api: listen === undefined ? undefined : { listen } } as const;
    return draft.role === 'gateway'
      ? {
          ...common,
          role: 'gateway',
          ...finishGateway(draft),
        }
      : {
          ...common,
          role: 'host',
          host: finishHost(draft),
          tenants: draft.tenants.map((tenant) => finishHostTenant(tenant.value)),
        };
  }

  #draft(root: Readonly<Record<string, unknown>>): Draft {
    const reader = this.#reader;
    const role = root.host !== undefined && root.gateway === undefined ? 'host' : 'gateway';
    if (root.host !== undefined && root.gateway !== undefined) {
      const other = this.#issues.line(['gateway'], 'key');
      this.#issues.error(['host'], `a document is for a gateway (${other}) or for a host, never for both`, 'key');
    }
    const read = <T extends schema.Schema>(of: Draft['role'], shape: T): schema.Output<T> | undefined =>
      of === role ? reader.parse(shape, root[of], [of]) : undefined;
    const [gateway, host] = [read('gateway', schema.gatewaySchema), read('host', schema.hostSchema)];
    const { external, underlay } = keysOf(root[role]);
    const outside = keysOf(external);
    return {
      role,
      gateway,
      host,
      external: network.readExternalInterface(outside.interface, reader),
      pool: network.readPool(outside.pool, reader),
      bgp: readBgp(outside.bgp, EXTERNAL_BGP, reader, externalBgpSchema),
      underlay: network.readUnderlay(underlay, [role, 'underlay'], reader),
      tenants: reader.entries(root.tenants, ['tenants'], (entry, path) =>
        this.#tenant(entry, path, role, gateway?.external.addresses ?? []),
      ),
    };
  }

  #tenant(value: unknown, path: Path, role: Draft['role'], external: readonly Address[]): TenantDraft {
    const reader = this.#reader;
    const atGateway = role === 'gateway';
    const shell = atGateway
      ? reader.parse(schema.tenantSchema, value, path)
      : reader.parse(schema.hostTenantSchema, value, path);
    const keys = keysOf(value);
    const name = nameOf(value);
    const list = <T>(key: string, read: (entry: unknown, path: Path) => T, there = true) =>
      there ? reader.entries(keys[key], [...path, key], read) : [];
    return {
      name,
      rdid: shell?.rdid,
      subnets: list('subnets', (entry, at) =>
        atGateway ? network.readSubnet(entry, at, reader) : network.readHostSubnet(entry, at, reader),
      ),
      lookup: list('lookup', (entry, at) => network.readLookup(entry, at, reader)),
      customerRoutes: list('customerRoutes', (entry, at) => reader.parse(schema.customerRouteSchema, entry, at)),
      nat: atGateway ? network.readNat(keys.nat, [...path, 'nat'], reader) : undefined,
      direct: keys.direct === true,
      interfaces: list(
        'interfaces',
        (entry, at) => ({ name: nameOf(entry), config: network.readInterface(entry, at, name, reader) }),
        atGateway,
      ),
      routes: list('routes', (entry, at) => reader.parse(schema.routeSchema, entry, at), atGateway),
      connections: list(
        'connections',
        (entry, at) => ({ name: nameOf(entry), config: this.#connection(entry, at, external) }),
        atGateway,
      ),
      bgp: atGateway ? readBgp(keys.bgp, [...path, 'bgp'], reader) : undefined,
      vms: list('vms', (entry, at) => ({ name: nameOf(entry), config: network.readVm(entry, at, reader) }), !atGateway),
    };
  }

  #connection(value: unknown, path: Path, external: readonly Address[]): ConnectionConfig | undefined {
    const shape = this.#reader.parse(schema.connectionSchema, value, path);
    if (shape === undefined) return undefined;
    this.#checkWords(shape, path);
    const remote = shape.remote.address.address;
    const address = shape.local.address ?? external.find((a) => remote === undefined || a.length === remote.length);
    if (address === undefined) {
      if (external.length > 0) {
        this.#issues.error(
          [...path, 'local', 'address'],
          'is needed: gateway.external.addresses has none of the remote’s family',
        );
      }
      return undefined;
    }
    const remoteId = shape.remote.id ?? (remote === undefined ? undefined : formatAddress(remote));
    if (remoteId === undefined) {
      this.#issues.error([...path, 'remote', 'id'], 'is needed where any address may come: it says who the peer is');
      return undefined;
    }
    const { local: _local, remote: _remote, auth, ...same } = shape;
    return {
      ...same,
      local: { address, id: shape.local.id ?? formatAddress(address) },
      remote: { address: remote, id: remoteId, port: shape.remote.port },
      psk: auth.psk,
      start: shape.start ?? (remote === undefined ? 'listen' : 'demand'),
      routes: shape.routes ?? uniquePrefixes(shape.child.remote.map((selector) => selector.prefix)),
    };
  }

  /** Proposals and identities are IKEv2's own words. */
  #checkWords(shape: schema.ConnectionShape, path: Path): void {
    const { legacy, child, ike, local, remote } = shape;
    for (const [i, text] of ike.proposals.entries()) {
      const parsed = parseProposal(text, 'ike', { legacy });
      if (!parsed.ok) this.#issues.error([...path, 'ike', 'proposals', i], parsed.problem);
    }
    for (const [i, text] of child.proposals.entries()) {
      const parsed = parseProposal(text, 'esp', { legacy, esn: child.esn });
      if (!parsed.ok) this.#issues.error([...path, 'child', 'proposals', i], parsed.problem);
    }
    for (const [side, { id }] of Object.entries({ local, remote })) {
      const parsed = id === undefined ? undefined : parseIdentity(id);
      if (parsed?.ok === false) this.#issues.error([...path, side, 'id'], parsed.problem);
    }
  }
}

const uniquePrefixes = (prefixes: readonly Prefix[]): Prefix[] =>
  prefixes.filter(
    (p, i) => prefixes.findIndex((q) => q.length === p.length && sameAddress(q.address, p.address)) === i,
  );
