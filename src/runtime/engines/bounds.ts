/** What JavaScript checks of itself and native code does not: that a packet lies within its memory and fits its cipher. */
import { invariant } from '../../core/index.ts';
import { NO_ESN, type Protection } from '../../crypto/index.ts';

export type Measures = Pick<Protection, 'ivLength' | 'blockSize' | 'icvLength'>;

/** Throws, as a bug of ours, before any octet is touched. `size`: the octets of the memory. */
export function checkBounds(
  measures: Measures,
  size: number,
  from: number,
  iv: number,
  end: number,
  high: number,
): void {
  const { ivLength, blockSize, icvLength } = measures;
  const text = end - iv - ivLength;
  invariant(
    (from | 0) === from && (iv | 0) === iv && (end | 0) === end && from >= 0 && end + icvLength <= size,
    'a packet lies within its memory',
  );
  invariant(
    from <= iv && text >= 0 && (text & (blockSize - 1)) === 0 && end - from <= LONGEST,
    'a packet has header, IV and whole blocks',
  );
  invariant(high === NO_ESN || iv - from === ESP_HEADER, 'an extended sequence number belongs to an ESP header');
}

/** Without ICV. No IP packet has more; ipsec-mb counts in 16 bits, the high half of the sequence number included. */
const LONGEST = 0xfffe - 4;
const ESP_HEADER = 8;
