/** Two network namespaces of this run's own, joined by a veth pair: a daemon in one, its peers in the other. */
import { offExit, onExit, sh } from '../../test/support/process.ts';

/** Removes what runs in them when it is closed, and when this run ends. */
export class Wire {
  readonly inside = `bh${process.pid}-bgp-daemon`;
  readonly outside = `bh${process.pid}-bgp-peers`;

  /** `peers` are addresses on the outside. */
  constructor(daemon: string, peers: readonly string[]) {
    onExit(this, () => this.#remove());
    for (const name of [this.inside, this.outside]) sh('ip', ['netns', 'add', name]);
    sh('ip', ['-n', this.inside, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', this.outside]);
    for (const address of peers) sh('ip', ['-n', this.outside, 'addr', 'add', `${address}/16`, 'dev', 'eth0']);
    sh('ip', ['-n', this.inside, 'addr', 'add', `${daemon}/16`, 'dev', 'eth0']);
    for (const name of [this.inside, this.outside])
      for (const device of ['lo', 'eth0']) sh('ip', ['-n', name, 'link', 'set', device, 'up']);
  }

  close(): void {
    offExit(this);
    this.#remove();
  }

  #remove(): void {
    for (const name of [this.inside, this.outside]) {
      for (const pid of sh('ip', ['netns', 'pids', name], true).split('\n').filter(Boolean))
        sh('kill', ['-9', pid], true);
      sh('ip', ['netns', 'del', name], true);
    }
  }
}
