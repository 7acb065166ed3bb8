/** `trace`: what would become of a packet, decision by decision. */
import type { Millis } from '../../core/index.ts';
import type { Layout } from '../dataplane/layout.ts';
import type { TraceQuestion, TraceStage } from './contract.ts';
import { begin } from './doors.ts';
import { Walk } from './walk.ts';

export * from './contract.ts';

/** The answer, from the tables that decide; nothing is sent, changed or counted. */
export function trace(layout: Layout, question: TraceQuestion, stopping: boolean, now: Millis): readonly TraceStage[] {
  const walk = new Walk(layout, question, stopping, now);
  const tenant = layout.tenants.get(question.compartment);
  if (tenant === undefined) walk.drop('door', 'linkDown', 'the tenant is gone');
  else begin(walk, tenant, question.door);
  return walk.stages;
}
