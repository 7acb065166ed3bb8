/** Whether a scenario went as it should, in sentences: what is proved, or what is not as it should be. */
import type { ExchangeResult, ExplanationResult, ScenarioResult } from './scenario.ts';

/** It holds when there are no problems; `words` are true then. */
export interface Check {
  readonly topic: string;
  readonly words: string;
  readonly problems: readonly string[];
}

type Facts = Omit<ScenarioResult, 'checks' | 'problems'>;

export const checksOf = (facts: Facts): Check[] => [
  ...tunnelChecks(facts),
  ...exchangeChecks(facts),
  ...outsideChecks(facts),
  ...uninvitedChecks(facts),
  ...overlapChecks(facts),
  ...mtuChecks(facts),
  ...rekeyChecks(facts),
  ...isolationChecks(facts),
  ...facts.explanations.map(explanationCheck),
];

/** Those whose failure is explained are not missed. */
function tunnelChecks({ tunnels, explanations }: Facts): Check[] {
  const wanted = tunnels.filter(
    (tunnel) => !explanations.some(({ command }) => command.endsWith(` ${nameOf(tunnel)}`)),
  );
  if (wanted.length === 0) return [];
  const problems = wanted.flatMap((tunnel) => {
    const { state, why, lastFailure } = tunnel;
    if (state === 'up' || state === 'rekeying') return [];
    const advice = lastFailure === undefined ? '' : `; ${lastFailure.advice}`;
    return [`${nameOf(tunnel)} is ${state}: ${lastFailure?.problem ?? why}${advice}`];
  });
  const words = `the first packet opened ${wanted.map(nameOf).join(' and ')}`;
  return [{ topic: wanted.length === 1 ? 'tunnel' : 'tunnels', words, problems }];
}

const nameOf = ({ tenant, name }: { readonly tenant: string; readonly name: string }): string => `${tenant}/${name}`;

/** Of every phase: all together must not miss more than was lost on the way. */
function exchangeChecks({ exchanges }: Facts): Check[] {
  const phases = new Map<string, ExchangeResult[]>();
  for (const result of exchanges) phases.set(result.what, [...(phases.get(result.what) ?? []), result]);
  const problems = [...phases].flatMap(([what, results]) => {
    const missing = results.reduce((sum, { sent, answered }) => sum + sent - answered, 0);
    if (missing <= results[0]!.lostOutside) return [];
    return results
      .filter(({ sent, answered }) => answered < sent)
      .map((r) => `${what} of ${r.tenant} from ${r.from} to ${r.to}: ${r.answered} of ${r.sent} answered`);
  });
  const of = (field: 'sent' | 'answered'): number => exchanges.reduce((sum, result) => sum + result[field], 0);
  const lost = [...phases.values()].reduce((sum, results) => sum + results[0]!.lostOutside, 0);
  const network = lost === 0 ? '' : `, the external network dropped ${lost} packets`;
  const ways = [...new Set(exchanges.map(({ way }) => way))].join(', ');
  return [{ topic: 'traffic', words: `${of('answered')} of ${of('sent')} answered (${ways})${network}`, problems }];
}

function outsideChecks({ outside }: Facts): Check[] {
  if (outside.length === 0) return [];
  const problems = outside.flatMap(({ tenant, external, seenAs }) => {
    if (seenAs.length === 0) return [`${tenant}: the server has seen nothing of it`];
    if (external === null || (seenAs.length === 1 && seenAs[0] === external)) return [];
    return [`${tenant}: the server saw ${seenAs.join(', ')}, and its external address is ${external}`];
  });
  const shown = outside.map(({ tenant, external, seenAs }) =>
    external === null ? `${tenant} as it is (${seenAs.join(', ')})` : `${tenant} as ${external}`,
  );
  return [{ topic: 'outside', words: `the server saw ${shown.join(' and ')}`, problems }];
}

function uninvitedChecks({ uninvited }: Facts): Check[] {
  if (uninvited.length === 0) return [];
  const problems = uninvited
    .filter(({ sent, refused }) => refused !== sent)
    .map(({ tenant, sent, refused }) => `${tenant}: of ${sent} uninvited datagrams ${refused} were refused`);
  const shown = uninvited.map(({ external, refused }) => `${refused} at ${external}`);
  return [{ topic: 'uninvited', words: `datagrams for ports nobody has were refused: ${shown.join(', ')}`, problems }];
}

function overlapChecks({ overlap }: Facts): Check[] {
  if (overlap === null) return [];
  const problems = overlap.refused ? [] : ['a document that routes both tenants directly was taken'];
  return [{ topic: 'direct routing', words: `both tenants cannot have it: ${overlap.why ?? ''}`, problems }];
}

function mtuChecks({ mtu }: Facts): Check[] {
  if (mtu.length === 0) return [];
  const problems = mtu.flatMap(({ tenant, told, fits }) => {
    if (told === null) return [`${tenant}: nobody told the sender of a packet with DF that it is too large`];
    return fits ? [] : [`${tenant}: a packet of ${told} octets does not pass although that is the MTU it was told`];
  });
  const told = mtu.map(({ tenant, told: size }) => `${tenant} ${size}`).join(', ');
  return [{ topic: 'large packets', words: `senders with DF were told what fits (${told}), and it does`, problems }];
}

function rekeyChecks({ rekeys, exchanges }: Facts): Check[] {
  if (rekeys.length === 0) return [];
  const problems = rekeys.flatMap(({ tenant, child, ike }) => [
    ...(child ? [] : [`${tenant}: the Child SA was not rekeyed`]),
    ...(ike ? [] : [`${tenant}: the IKE SA was not rekeyed`]),
  ]);
  const during = exchanges.filter(({ what }) => what === 'ping during rekeys');
  const lost = during.reduce((sum, { sent, answered }) => sum + sent - answered, 0);
  const outside = during[0]?.lostOutside ?? 0;
  const network = outside === 0 ? '' : `, the external network dropped ${outside} meanwhile`;
  const words = `Child SAs and IKE SAs were replaced under traffic, ${lost} pings unanswered${network}`;
  return [{ topic: 'rekeys', words, problems }];
}

function isolationChecks({ isolation, stranger }: Facts): Check[] {
  const { address, owner, ownerAnswered, stranger: other, strangerAnswered, asked } = stranger;
  const seen = isolation.map(({ tenant, own }) => `${tenant}’s saw ${own} packets of ${tenant} and none of others`);
  return [
    {
      topic: 'isolation',
      words: `both tenants have machines ${isolation[0]!.addresses.join(', ')}; ${seen.join(', ')}`,
      problems: isolation.flatMap(({ tenant, own, foreign }) => [
        ...(foreign === 0 ? [] : [`${tenant}: ${foreign} packets of another tenant arrived`]),
        ...(own > 0 ? [] : [`${tenant}: nothing of its own arrived, so nothing is proved`]),
      ]),
    },
    {
      topic: 'isolation',
      words: `only ${owner} has ${address}; ${owner} got ${ownerAnswered} of ${asked} answers from it, ${other} none`,
      problems: [
        ...(strangerAnswered === 0 ? [] : [`${other} got an answer from ${address}, which only ${owner} has`]),
        ...(ownerAnswered > 0 ? [] : [`${owner} got no answer from its own ${address}`]),
      ],
    },
  ];
}

function explanationCheck({ fault, expected, answer }: ExplanationResult): Check {
  const missing = expected.filter((words) => !answer.some((line) => line.includes(words)));
  return {
    topic: 'explained',
    words: fault,
    problems: missing.map((words) => `${fault}: nobody says “${words}”`),
  };
}
