/** Growth of typed columns: twice while they are small, then by half, by a quarter when more would waste megabytes. */
const SMALL = 65_536;
const LARGE = 524_288;

export const larger = (length: number): number => {
  if (length < SMALL) return length * 2;
  return (length + (length >> (length < LARGE ? 1 : 2)) + 7) & -8;
};

export function grown8(column: Uint8Array, length: number = larger(column.length)): Uint8Array {
  const out = new Uint8Array(length);
  out.set(column);
  return out;
}

export function grown16(column: Uint16Array, length: number = larger(column.length)): Uint16Array {
  const out = new Uint16Array(length);
  out.set(column);
  return out;
}

export function grown32(column: Uint32Array, length: number = larger(column.length)): Uint32Array {
  const out = new Uint32Array(length);
  out.set(column);
  return out;
}
