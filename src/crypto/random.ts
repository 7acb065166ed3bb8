/** The operating system's generator as an argument for everything that needs fresh octets (`core/random.ts`). */
import { randomBytes } from 'node:crypto';
import type { Random } from '../core/index.ts';
import { octets } from './octets.ts';

export const systemRandom: Random = (length) => octets(randomBytes(length));
