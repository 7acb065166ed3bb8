/**
 * Networks of one link, between the test's own process and a namespace in which a daemon runs.
 *
 *     10.9.N.1, 2001:db8:9:N::1 ── 10.9.N.2, 2001:db8:9:N::2
 *
 * Invariant: namespace, link and what runs in there are gone after `close`, or when the test process ends.
 */
import { removeNamespace } from './netns.ts';
import { offExit, onExit, sh } from './process.ts';

export class BgpLink {
  readonly namespace: string;
  readonly ours: string;
  readonly theirs: string;
  readonly ours6: string;
  readonly theirs6: string;
  readonly #device: string;
  readonly #network: string;

  /** After `enterPrivateNetwork`; without a device where a TUN is the link, see `bgp-tun.ts`. */
  constructor(number: number, { bare = false } = {}) {
    this.namespace = `bh${process.pid}-bgp${number}`;
    const [v4, v6, device] = [`10.9.${number}`, `2001:db8:9:${number}`, `bgp${number}`];
    [this.#network, this.#device] = [v4, device];
    [this.ours, this.theirs] = [`${v4}.1`, `${v4}.2`];
    [this.ours6, this.theirs6] = [`${v6}::1`, `${v6}::2`];
    onExit(this, () => removeNamespace(this.namespace));
    sh('ip', ['netns', 'add', this.namespace]);
    sh('ip', ['-n', this.namespace, 'link', 'set', 'dev', 'lo', 'up']);
    if (bare) return;
    sh('ip', ['link', 'add', device, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', this.namespace]);
    const there = ['-n', this.namespace];
    for (const [words, name, v4Address, v6Address] of [
      [[], device, this.ours, this.ours6],
      [there, 'eth0', this.theirs, this.theirs6],
    ] as const) {
      sh('ip', [...words, 'addr', 'add', `${v4Address}/24`, 'dev', name]);
      sh('ip', [...words, 'addr', 'add', `${v6Address}/64`, 'dev', name, 'nodad']);
      sh('ip', [...words, 'link', 'set', 'dev', name, 'up']);
    }
  }

  /** More addresses of ours, to be several peers of one daemon. */
  more(count: number, family: 4 | 6 = 4): readonly string[] {
    const last = Array.from({ length: count }, (_, i) => 100 + i);
    const addresses = last.map((n) => (family === 4 ? `${this.#network}.${n}` : this.ours6.replace(/1$/, `${n}`)));
    const words = family === 4 ? ['/24'] : ['/64', 'nodad'];
    for (const address of addresses)
      sh('ip', ['addr', 'add', `${address}${words[0]}`, 'dev', this.#device, ...words.slice(1)]);
    return addresses;
  }

  close(): void {
    removeNamespace(this.namespace);
    offExit(this);
  }
}
