/**
 * What a group is told of rows that have been decided: the best path, or with ADD-PATH (RFC 7911) as many as it may have.
 *
 * Read first: RFC 4271 §9.2; RFC 7911 §2. What a path becomes for the group is the exporter's (`exporter.ts`), who of it gets what the
 * group's own (`update-group.ts`).
 */
import type { FamilyRib } from './family-rib.ts';
import type { UpdateGroup } from './update-group.ts';

/** A group, and how many paths a prefix it is told: 0 is the best alone, without ADD-PATH. */
export interface Audience {
  readonly group: UpdateGroup;
  readonly best: number;
  /** Of a group that begins, the row that it is told of next. */
  next: number | undefined;
}

/** As `Audience.best`: as many as there are. */
export const ALL_PATHS = 0xffff;

/** Tells a group what it should know of these rows. */
export function tell(rib: FamilyRib, { group, best }: Audience, rows: Uint32Array): void {
  if (group.addPath) for (const row of rows) tellPaths(rib, group, best, row);
  else tellBest(rib, group, rows);
  group.emit();
}

/** Tells a group that begins of about `limit` rows. Those that are to be decided it is told of then. */
export function introduce(rib: FamilyRib, audience: Audience, limit: number): void {
  if (audience.next === undefined) return;
  const { table, generations } = rib;
  const { bound } = table;
  const rows = new Uint32Array(Math.min(limit, bound));
  let [row, count] = [audience.next, 0];
  for (let left = limit; row < bound && left > 0; row++) {
    left -= 1;
    if (!table.isUsed(row)) continue;
    left -= generations.settleRow(table.paths[row]!);
    if (!rib.isDirty(row)) rows[count++] = row;
  }
  audience.next = row < bound ? row : undefined;
  tell(rib, audience, rows.subarray(0, count));
}

function tellBest(rib: FamilyRib, group: UpdateGroup, rows: Uint32Array): void {
  const { exporter } = group;
  const { aggregates, heldDefault, paths } = rib;
  const { best } = rib.table;
  const told = exporter.tellsDefault ? heldDefault : 0;
  const defaultRow = told === 0 ? 0 : paths.rows[told]!;
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!;
    const path = best[row]!;
    if (row === defaultRow) group.consider(row, exporter.exportDefault(told), 0);
    else if (path === 0 || aggregates.suppresses(row)) group.consider(row, 0, 0);
    else group.consider(row, exporter.export(path), paths.owner(path));
  }
}

function tellPaths(rib: FamilyRib, group: UpdateGroup, best: number, row: number): void {
  const { aggregates, decision, paths, table } = rib;
  const first = table.paths[row]!;
  const { exporter } = group;
  const suppressed = aggregates.suppresses(row);
  let chosen: Set<number> | undefined;
  if (best !== ALL_PATHS) {
    chosen = new Set();
    for (let next = table.best[row]!; next !== 0 && chosen.size < best; ) {
      chosen.add(next);
      next = decision.among(first, chosen);
    }
  }
  for (let path = first; path !== 0; path = paths.nexts[path]!) {
    const told = !suppressed && (chosen === undefined ? decision.eligible(path) : chosen.has(path));
    const set = rib.isHeldDefault(path) ? exporter.exportDefault(path) : told ? exporter.export(path) : 0;
    group.consider(path, set, paths.owner(path));
  }
}
