/**
 * Text to the validated document: every issue at once, each at its place.
 *
 * Entries (gateway, each tenant, interface, route and connection) are read one by one, so that a mistake in one hides none in
 * another; `rules.ts` then looks at what spans several of them. A document comes out only without errors; warnings let it pass.
 */
import { parseIdentity, parseProposal } from '../ike/index.ts';
import { type Address, formatAddress, type Prefix, parseAddress, sameAddress } from '../ip/index.ts';
import type { ConnectionConfig, Document, InterfaceDocument, Issue, StaticRoute, TenantConfig } from './contract.ts';
import { formatPath, ISSUE_LIMIT, IssueList } from './issue.ts';
import { checkRules, type Draft, type Placed, type TenantDraft } from './rules.ts';
import * as schema from './schema.ts';
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

  constructor(issues: IssueList) {
    this.#issues = issues;
  }

  document(value: unknown): Document | undefined {
    if (value === null || kindOf(value) !== 'a section') {
      this.#issues.error(
        [],
        value === null ? 'the document is empty' : `the document is ${kindOf(value)}, not sections`,
      );
      return undefined;
    }
    const shell = this.#parse(schema.documentSchema, value, []);
    const root = value as Record<string, unknown>;
    const gateway = this.#parse(schema.gatewaySchema, root.gateway, ['gateway']);
    const external = gateway?.external.addresses ?? [];
    const tenants = this.#entries(root.tenants, ['tenants'], (entry, path) => this.#tenant(entry, path, external));
    const draft: Draft = { gateway, tenants };
    checkRules(draft, this.#issues);
    if (this.#issues.hasErrors || shell === undefined || gateway === undefined) return undefined;
    return {
      version: 1,
      gateway: { ...gateway, keyLog: gateway.keyLog },
      tenants: tenants.map(({ value: tenant }) => finishTenant(tenant)),
      api: shell.api.listen.listen === undefined ? undefined : { listen: shell.api.listen.listen },
    };
  }

  #tenant(value: unknown, path: Path, external: readonly Address[]): TenantDraft {
    const shell = this.#parse(schema.tenantSchema, value, path);
    const record = (kindOf(value) === 'a section' ? value : {}) as Record<string, unknown>;
    const name = typeof record.name === 'string' ? record.name : undefined;
    return {
      name,
      rdid: shell?.rdid,
      interfaces: this.#entries(record.interfaces, [...path, 'interfaces'], (entry, at) => ({
        name: nameOf(entry),
        config: this.#interface(entry, at, name),
      })),
      routes: this.#entries(record.routes, [...path, 'routes'], (entry, at) =>
        this.#parse(schema.routeSchema, entry, at),
      ),
      connections: this.#entries(record.connections, [...path, 'connections'], (entry, at) => ({
        name: nameOf(entry),
        config: this.#connection(entry, at, external),
      })),
    };
  }

  #interface(value: unknown, path: Path, tenant: string | undefined): InterfaceDocument | undefined {
    const shape = this.#parse(schema.interfaceSchema, value, path);
    if (shape === undefined) return undefined;
    const device = shape.device ?? `bh-${tenant ?? ''}`;
    if (device.length > 15) {
      this.#issues.error([...path, 'device'], `is needed: ${device} is longer than the 15 characters of a device name`);
    }
    return { ...shape, device };
  }

  #connection(value: unknown, path: Path, external: readonly Address[]): ConnectionConfig | undefined {
    const shape = this.#parse(schema.connectionSchema, value, path);
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

  #entries<T>(value: unknown, path: Path, read: (entry: unknown, path: Path) => T): readonly Placed<T>[] {
    if (value === undefined) return [];
    if (!Array.isArray(value)) {
      this.#issues.error(path, `a list is needed, not ${kindOf(value)}`);
      return [];
    }
    return value.map((entry, i) => ({ path: [...path, i], value: read(entry, [...path, i]) }));
  }

  #parse<T extends schema.Schema>(shape: T, value: unknown, path: Path): schema.Output<T> | undefined {
    const result = shape.safeParse(value);
    if (result.success) return result.data as schema.Output<T>;
    for (const issue of result.error.issues) {
      const at = [...path, ...(issue.path as (string | number)[])];
      if (issue.code === 'unrecognized_keys') {
        const sentences = issue.message.split('\n');
        for (const [i, key] of issue.keys.entries()) this.#issues.error([...at, key], sentences[i]!, 'key');
      } else {
        this.#issues.error(
          at,
          explain(issue.code, (issue as { expected?: string }).expected, valueAt(value, issue.path), issue.message),
        );
      }
    }
    return undefined;
  }
}

function explain(code: string, expected: string | undefined, found: unknown, message: string): string {
  if (code === 'too_small') return 'needs at least one entry';
  if (code !== 'invalid_type') return message;
  if (found === undefined) return 'is needed';
  return `${expected === 'array' ? 'a list' : 'a section'} is needed, not ${kindOf(found)}`;
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value;
  for (const step of path) at = (at as Record<PropertyKey, unknown> | null | undefined)?.[step];
  return at;
}

function nameOf(entry: unknown): string | undefined {
  const name = kindOf(entry) === 'a section' ? (entry as Record<string, unknown>).name : undefined;
  return typeof name === 'string' ? name : undefined;
}

/** Called without errors only: every part of the draft is there. */
function finishTenant(draft: TenantDraft): TenantConfig {
  const interfaces = draft.interfaces.map(({ value }) => value.config!);
  return {
    name: draft.name!,
    rdid: draft.rdid,
    interfaces,
    routes: draft.routes.map(
      ({ value }): StaticRoute => ({
        prefix: value!.prefix,
        via: interfaces.some((i) => i.name === value!.via)
          ? { interface: value!.via }
          : { nextHop: parseAddress(value!.via)! },
      }),
    ),
    connections: draft.connections.map(({ value }) => value.config!),
  };
}

const uniquePrefixes = (prefixes: readonly Prefix[]): Prefix[] =>
  prefixes.filter(
    (p, i) => prefixes.findIndex((q) => q.length === p.length && sameAddress(q.address, p.address)) === i,
  );
