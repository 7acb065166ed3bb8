import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Agenda, type Deadline, type Millis, type Timed } from '../../src/core/index.ts';

/** Something that is due at times of its own, and writes down when it was woken. */
class Sleeper implements Timed {
  at: Millis | undefined;
  /** How far a tick moves the deadline; undefined: the tick ends it. */
  readonly step: number | undefined;
  readonly woken: Millis[] = [];

  constructor(step: number | undefined) {
    this.step = step;
  }

  deadline(): Deadline | undefined {
    return this.at === undefined ? undefined : { at: this.at, why: 'sleeper' };
  }

  tick(now: Millis): void {
    this.woken.push(now);
    this.at = this.step === undefined ? undefined : now + this.step;
  }
}

describe('the agenda', () => {
  it('wakes whom a list of deadlines would wake, and knows the earliest', () => {
    const event = fc.oneof(
      fc.record({ do: fc.constant('set' as const), who: fc.nat(5), at: fc.option(fc.nat(60), { nil: undefined }) }),
      fc.record({ do: fc.constant('forget' as const), who: fc.nat(5), at: fc.constant(undefined) }),
      fc.record({ do: fc.constant('pass' as const), who: fc.constant(0), at: fc.nat(12) }),
    );
    const steps = fc.array(fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined }), {
      minLength: 6,
      maxLength: 6,
    });
    fc.assert(
      fc.property(steps, fc.array(event, { maxLength: 60 }), (intervals, events) => {
        const agenda = new Agenda();
        const real = intervals.map((step) => new Sleeper(step));
        const model = intervals.map((step) => new Sleeper(step));
        const kept = new Set<Sleeper>();
        let now = 0;
        for (const e of events) {
          if (e.do === 'set') {
            real[e.who]!.at = e.at;
            model[e.who]!.at = e.at;
            kept.add(model[e.who]!);
            agenda.touch(real[e.who]!);
          } else if (e.do === 'forget') {
            kept.delete(model[e.who]!);
            agenda.forget(real[e.who]!);
          } else {
            now += e.at!;
            for (const m of kept) if (m.at !== undefined && m.at <= now) m.tick(now);
            agenda.tick(now);
          }
          const due = [...kept].flatMap((m) => (m.at === undefined ? [] : [m.at]));
          expect(agenda.deadline()?.at).toBe(due.length === 0 ? undefined : Math.min(...due));
          expect(real.map((r) => r.woken)).toEqual(model.map((m) => m.woken));
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('an item that stays due is woken once a call', () => {
    const agenda = new Agenda();
    const restless = new Sleeper(0);
    restless.at = 5;
    agenda.touch(restless);
    agenda.tick(5);
    agenda.tick(5);
    expect(restless.woken).toEqual([5, 5]);
    expect(agenda.deadline()?.at).toBe(5);
  });
});
