/**
 * What is wrong with a gateway now, each problem with its cause and the next step, errors of the whole before those of a tenant.
 *
 * Deliberate limit: what passed is a problem for a while only (`RECENT_MS`, `CONFLICT_MS`); counters and log still tell it.
 */
import type { Millis } from '../core/index.ts';
import { formatAddress } from '../ip/index.ts';
import type { Books } from './books.ts';
import type { ConnectionStatus, Problem } from './status.ts';
import type { Tunnel } from './tunnel.ts';
import { bgpProblems } from './view-bgp.ts';
import { isUp } from './view-connections.ts';
import { planeProblems } from './view-workers.ts';

/** `connections` as `viewConnections` gives them. */
export function problemsOf(books: Books, connections: readonly ConnectionStatus[], now: Millis): Problem[] {
  const failures = [...books.tunnels.values()].flatMap((tunnel, i) =>
    isOvercome(books, tunnel) ? [] : connectionProblem(connections[i]!),
  );
  return [
    ...planeProblems(books),
    ...listenerProblems(books),
    ...underlayProblems(books),
    ...interfaceProblems(books),
    ...natProblems(books, now),
    ...conflictProblems(books, now),
    ...failures,
    ...bgpProblems(books, now),
  ];
}

/** A failure is a problem while the connection is not up, or while a rekey keeps failing. */
function connectionProblem(status: ConnectionStatus): Problem[] {
  const failure = status.lastFailure;
  if (failure === undefined) return [];
  const { tenant, connection, problem, advice, lines } = failure;
  const severity = isUp(status) ? 'warning' : 'error';
  return [
    {
      severity,
      ...(tenant === undefined ? {} : { tenant }),
      ...(connection === undefined ? {} : { connection }),
      problem,
      advice,
      lines,
    },
  ];
}

/** An SA came about after the last failure, which is history then: `connections show` still tells it. */
function isOvercome(books: Books, tunnel: Tunnel): boolean {
  const connection = books.ike.connections.get(tunnel.name);
  const failedAt = connection?.lastFailure?.at;
  if (connection === undefined || failedAt === undefined || !tunnel.up) return false;
  return (
    [...tunnel.children.values()].some(({ installedAt }) => installedAt > failedAt) ||
    [...connection.sas].some(({ establishedAt }) => establishedAt !== undefined && establishedAt > failedAt)
  );
}

const listenerProblems = (books: Books): Problem[] =>
  books.listeners.flatMap(({ address, problem }) =>
    problem === undefined
      ? []
      : [
          {
            severity: 'error' as const,
            problem: `cannot listen on ${formatAddress(address)}: ${problem}`,
            advice: 'see `bulkhead doctor`',
            lines: [],
          },
        ],
  );

const interfaceProblems = (books: Books): Problem[] =>
  [...books.tenants.values()].flatMap((tenant) =>
    [...tenant.interfaces.values()].flatMap(({ config, problem }) =>
      problem === undefined
        ? []
        : [
            {
              severity: 'error' as const,
              tenant: tenant.name,
              problem: `interface ${config.name} (${config.device}) is down: ${problem}`,
              advice: 'see `bulkhead doctor`',
              lines: [],
            },
          ],
    ),
  );

const underlayProblems = ({ underlayProblem, resolved }: Books): Problem[] =>
  underlayProblem === undefined
    ? []
    : [
        {
          severity: 'error',
          problem: `no virtual network is reached: ${underlayProblem}`,
          advice: 'see `bulkhead doctor`',
          lines: (resolved?.document.gateway.underlay?.addresses ?? []).map(
            (address) => `provider address ${formatAddress(address)}`,
          ),
        },
      ];

/** New flows of a tenant were refused a moment ago; sessions that are there go on. */
const natProblems = (books: Books, now: Millis): Problem[] =>
  [...books.outside.tenants].flatMap(([tenant, { natCells, external }]) => {
    if (natCells === undefined || external === undefined) return [];
    const [noPort, atLimit] = books.natRefusedAt(natCells);
    const limit = books.tenants.get(tenant)?.config.nat?.limits.sessions;
    const found = (problem: string, advice: string): Problem => {
      return { severity: 'warning', tenant, problem, advice, lines: [] };
    };
    const advice = `see \`bulkhead nat sessions --tenant ${tenant}\``;
    return [
      ...(now - noPort < RECENT_MS
        ? [found(`new flows find no free port of ${formatAddress(external)}`, `${advice}: who has them all?`)]
        : []),
      ...(now - atLimit < RECENT_MS
        ? [
            found(
              `new flows are refused: ${limit} NAT sessions are its limit`,
              `${advice}, or raise nat.limits.sessions`,
            ),
          ]
        : []),
    ];
  });

/** The last one of each interface. */
const conflictProblems = (books: Books, now: Millis): Problem[] =>
  [...books.tenants.values()].flatMap(({ name, conflicts, ways }) =>
    [...conflicts].flatMap(([number, { at, words }]): Problem[] => {
      if (now - at >= CONFLICT_MS || !ways.has(number)) return [];
      const advice = 'two machines have one address: give one of them another';
      const lines = [`last ${Math.floor((now - at) / 1000)} s ago`];
      return [{ severity: 'warning', tenant: name, problem: words, advice, lines }];
    }),
  );

const RECENT_MS: Millis = 60_000;
const CONFLICT_MS: Millis = 600_000;
