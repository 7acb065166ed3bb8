/** Whether a scenario went as it should, in sentences about what did not. */
import type { ScenarioResult } from './scenario.ts';

type Facts = Omit<ScenarioResult, 'problems'>;

export function findProblems(facts: Facts): string[] {
  return [
    ...tunnelProblems(facts),
    ...exchangeProblems(facts),
    ...mtuProblems(facts),
    ...isolationProblems(facts),
    ...rekeyProblems(facts),
  ];
}

function tunnelProblems({ tunnels }: Facts): string[] {
  return tunnels.flatMap(({ tenant, name, state, why, lastFailure }) => {
    if (state === 'up' || state === 'rekeying') return [];
    const advice = lastFailure === undefined ? '' : `; ${lastFailure.advice}`;
    return [`${tenant}/${name} is ${state}: ${lastFailure?.problem ?? why}${advice}`];
  });
}

/** Of every phase: all together must not miss more than was lost on the way. */
function exchangeProblems({ exchanges }: Facts): string[] {
  const phases = new Map<string, typeof exchanges>();
  for (const result of exchanges) phases.set(result.what, [...(phases.get(result.what) ?? []), result]);
  return [...phases].flatMap(([what, results]) => {
    const missing = results.reduce((sum, { sent, answered }) => sum + sent - answered, 0);
    if (missing <= results[0]!.lostOutside) return [];
    return results
      .filter(({ sent, answered }) => answered < sent)
      .map((r) => `${what} of ${r.tenant} from ${r.from} to ${r.to}: ${r.answered} of ${r.sent} answered`);
  });
}

function mtuProblems({ mtu }: Facts): string[] {
  return mtu.flatMap(({ tenant, told, fits }) => {
    if (told === null) return [`${tenant}: nobody told the sender of a packet with DF that it is too large`];
    return fits ? [] : [`${tenant}: a packet of ${told} octets does not pass although that is the MTU it was told`];
  });
}

function isolationProblems({ isolation, stranger }: Facts): string[] {
  const { address, owner, ownerAnswered, stranger: other, strangerAnswered } = stranger;
  return [
    ...isolation.flatMap(({ tenant, own, foreign }) => [
      ...(foreign === 0 ? [] : [`${tenant}: ${foreign} packets of another tenant arrived`]),
      ...(own > 0 ? [] : [`${tenant}: nothing of its own arrived, so nothing is proved`]),
    ]),
    ...(strangerAnswered === 0 ? [] : [`${other} got an answer from ${address}, which only ${owner} has`]),
    ...(ownerAnswered > 0 ? [] : [`${owner} got no answer from its own ${address}`]),
  ];
}

function rekeyProblems({ rekeys }: Facts): string[] {
  return rekeys.flatMap(({ tenant, child, ike }) => [
    ...(child ? [] : [`${tenant}: the Child SA was not rekeyed`]),
    ...(ike ? [] : [`${tenant}: the IKE SA was not rekeyed`]),
  ]);
}
