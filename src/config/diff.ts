/**
 * What changed between two documents, in the units a reload acts on: the gateway itself, the control socket, a tenant, an
 * interface, a tenant's static routes, a connection. What is not named here stays untouched.
 *
 * Limit: a secret behind an unchanged reference is not compared; whoever resolves it knows.
 */
import { sameBytes } from '../core/index.ts';
import type { ConnectionConfig, Document, TenantConfig } from './contract.ts';
import { formatPath } from './issue.ts';
import { type Plain, plainConnection, plainGateway, plainInterface, plainRoute } from './plain.ts';

export interface Change {
  readonly what: 'added' | 'removed' | 'changed';
  readonly kind: 'gateway' | 'api' | 'tenant' | 'interface' | 'routes' | 'connection';
  readonly tenant?: string;
  /** Of the interface or connection. */
  readonly name?: string;
  /** What differs inside, for `changed`; values are written as in the document. */
  readonly fields: readonly FieldChange[];
  /** A running gateway cannot take this over. */
  readonly needsRestart: boolean;
}

export interface FieldChange {
  /** `child.proposals[1]` */
  readonly path: string;
  /** Undefined: not there. */
  readonly before: string | undefined;
  readonly after: string | undefined;
}

export function diffDocuments(before: Document, after: Document): readonly Change[] {
  const changes: Change[] = [];
  const compare = (
    unit: Pick<Change, 'kind' | 'tenant' | 'name'>,
    a: Plain | undefined,
    b: Plain | undefined,
    also: readonly FieldChange[] = [],
  ): void => {
    const what = a === undefined ? 'added' : b === undefined ? 'removed' : 'changed';
    const pathOf = ({ path }: Difference): string => (unit.kind === 'routes' ? path.join() : formatPath(path));
    const inside = what === 'changed' ? differences(a, b) : [];
    const fields = [...inside.map((field) => ({ ...field, path: pathOf(field) })), ...(what === 'changed' ? also : [])];
    if (what === 'changed' && fields.length === 0) return;
    changes.push({ what, ...unit, fields, needsRestart: unit.kind === 'gateway' || unit.kind === 'api' });
  };
  compare({ kind: 'gateway' }, plainGateway(before.gateway), plainGateway(after.gateway));
  compare({ kind: 'api' }, { listen: before.api?.listen ?? 'none' }, { listen: after.api?.listen ?? 'none' });
  for (const [name, old, now] of pairs(before.tenants, after.tenants)) {
    if (old === undefined || now === undefined) compare({ kind: 'tenant', tenant: name }, old && '', now && '');
    else compare({ kind: 'tenant', tenant: name }, plainRdid(old), plainRdid(now));
    for (const [device, a, b] of pairs(old?.interfaces ?? [], now?.interfaces ?? [])) {
      compare({ kind: 'interface', tenant: name, name: device }, a && plainInterface(a), b && plainInterface(b));
    }
    const routes = (of: typeof old): Plain => routesByPrefix(of?.routes.map(plainRoute) ?? []);
    compare({ kind: 'routes', tenant: name }, routes(old), routes(now));
    for (const [connection, a, b] of pairs(old?.connections ?? [], now?.connections ?? [])) {
      const unit = { kind: 'connection', tenant: name, name: connection } as const;
      compare(unit, a && plainConnection(a), b && plainConnection(b), a && b && inlineSecret(a, b));
    }
  }
  return changes;
}

/** `~ connection fabrikam/hq: dpdSeconds 30 → 10`; one line for each thing added or removed and for each field. */
export function formatChanges(changes: readonly Change[]): string[] {
  return changes.flatMap((change) => {
    const name = [change.tenant, change.name].filter((part) => part !== undefined).join('/');
    const label = name === '' ? change.kind : `${change.kind} ${name}`;
    const note = change.needsRestart ? ' (needs a restart)' : '';
    if (change.what !== 'changed') return [`${change.what === 'added' ? '+' : '-'} ${label}${note}`];
    return change.fields.map(({ path, before, after }) => {
      const values =
        before === undefined ? `added ${after}` : after === undefined ? `removed ${before}` : `${before} → ${after}`;
      return `~ ${label}: ${path} ${values}${note}`;
    });
  });
}

const plainRdid = ({ rdid }: TenantConfig): Plain => (rdid === undefined ? {} : { rdid });

type Entry = { readonly name: string };

/** Old and new of the same name; in the order of the old, then what is new. */
function pairs<T extends Entry>(before: readonly T[], after: readonly T[]): [string, T | undefined, T | undefined][] {
  const now = new Map(after.map((entry) => [entry.name, entry]));
  const old = new Set(before.map((entry) => entry.name));
  return [
    ...before.map((entry): [string, T, T | undefined] => [entry.name, entry, now.get(entry.name)]),
    ...after
      .filter(({ name }) => !old.has(name))
      .map((entry): [string, undefined, T] => [entry.name, undefined, entry]),
  ];
}

/** Routes are a set: their order says nothing. */
const routesByPrefix = (routes: readonly Plain[]): Plain =>
  Object.fromEntries((routes as { prefix: string; via: string }[]).map(({ prefix, via }) => [prefix, via]));

interface Difference {
  readonly path: readonly (string | number)[];
  readonly before: string | undefined;
  readonly after: string | undefined;
}

function differences(a: Plain | undefined, b: Plain | undefined, path: Difference['path'] = []): Difference[] {
  if (isTree(a) && isTree(b) && Array.isArray(a) === Array.isArray(b)) {
    const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
    return [...keys].flatMap((key) => {
      const step = Array.isArray(a) ? Number(key) : key;
      return differences((a as Record<string, Plain>)[key], (b as Record<string, Plain>)[key], [...path, step]);
    });
  }
  const [before, after] = [write(a), write(b)];
  return before === after ? [] : [{ path, before, after }];
}

const isTree = (value: Plain | undefined): value is object & Plain => typeof value === 'object';
const write = (value: Plain | undefined): string | undefined =>
  value === undefined ? undefined : typeof value === 'string' ? value : JSON.stringify(value);

function inlineSecret(a: ConnectionConfig, b: ConnectionConfig): FieldChange[] {
  if (a.psk.from !== 'inline' || b.psk.from !== 'inline') return [];
  // A document written by `show` has the printed form in place of the secret: nothing is known of that one.
  const [before, after] = [a.psk.value.reveal(), b.psk.value.reveal()];
  const hidden = new TextEncoder().encode(String(a.psk.value));
  if (sameBytes(before, after) || sameBytes(before, hidden) || sameBytes(after, hidden)) return [];
  return [{ path: 'auth.psk', before: String(a.psk.value), after: String(b.psk.value) }];
}
