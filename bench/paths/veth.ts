/** No gateway at all: the veth pairs under every other path, routed by the kernel. What the machine can do. */
import { routePlain } from '../support.ts';
import type { Contender } from './path.ts';

export const veth: Contender = {
  key: 'veth',
  name: 'bare veth',
  setup: 'routed by the kernel, nothing encrypted',
  absent: undefined,
  async join(topology) {
    await routePlain(topology);
    return { pids: [], stop: async () => {} };
  },
};
