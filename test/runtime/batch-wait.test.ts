import { afterEach, expect, it } from 'vitest';
import { PollSet, requireSyscalls, Wakeup } from '../../src/runtime/index.ts';
import { requirePeers } from '../support/peers.ts';

requirePeers('linux', 'koffi')('a poll set', () => {
  const open: Wakeup[] = [];
  afterEach(() => {
    for (const each of open.splice(0)) each.close();
  });

  const wakeup = (): Wakeup => {
    const made = new Wakeup(requireSyscalls());
    open.push(made);
    return made;
  };

  const readyOf = (set: PollSet): number[] => {
    const fds: number[] = [];
    set.eachReady((fd) => fds.push(fd));
    return fds;
  };

  it('finds what is readable, and nothing else, among as many as there are', () => {
    const set = new PollSet(requireSyscalls(), 2);
    const all = Array.from({ length: 100 }, wakeup);
    for (const { fd } of all) set.add(fd);
    expect([set.wait(0), readyOf(set)]).toEqual([0, []]);
    for (const i of [0, 1, 63, 64, 99]) all[i]!.signal();
    expect(set.wait(0)).toBe(5);
    expect(readyOf(set)).toEqual([0, 1, 63, 64, 99].map((i) => all[i]!.fd));
    expect([0, 1, 2, 99].map((i) => set.ready(all[i]!.fd))).toEqual([true, true, false, true]);
    expect([all[1]!.clear(), all[1]!.clear()]).toEqual([true, false]);
    set.remove(all[63]!.fd);
    expect(set.wait(0)).toBe(3);
    expect(readyOf(set)).toEqual([0, 64, 99].map((i) => all[i]!.fd));
  });

  it('whoever is visited may add and remove: others are found again', () => {
    const set = new PollSet(requireSyscalls(), 4);
    const first = Array.from({ length: 4 }, wakeup);
    const later = Array.from({ length: 30 }, wakeup);
    for (const each of [...first, ...later]) each.signal();
    for (const { fd } of first) set.add(fd);
    const seen: number[] = [];
    for (let turn = 0; turn < 50 && set.wait(0) > 0; turn++) {
      set.eachReady((fd) => {
        seen.push(fd);
        set.remove(fd);
        for (const each of later.splice(0, 10)) set.add(each.fd);
      });
    }
    expect(new Set(seen)).toEqual(new Set(open.map(({ fd }) => fd)));
    expect(set.wait(0)).toBe(0);
  });

  it('waits as long as it is told, and less when it is woken', () => {
    const set = new PollSet(requireSyscalls());
    const waker = wakeup();
    set.add(waker.fd);
    const at = performance.now();
    expect(set.wait(60)).toBe(0);
    expect(performance.now() - at).toBeGreaterThan(50);
    new Wakeup(requireSyscalls(), waker.fd).signal();
    expect(set.wait(-1)).toBe(1);
  });

  it('rests as long as it is told, also when there is something to read', () => {
    const set = new PollSet(requireSyscalls());
    const waker = wakeup();
    set.add(waker.fd);
    waker.signal();
    const at = performance.now();
    set.rest(30_000);
    expect(performance.now() - at).toBeGreaterThanOrEqual(30);
    expect(set.wait(0)).toBe(1);
  });
});
