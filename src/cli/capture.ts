/**
 * `capture`: real packets into a pcapng file, one interface a capture point, with what became of each as its comment.
 *
 * Limits: those of the tap: 100 packets a second, 2,048 octets of each. What is written in part is counted, and said at the end.
 */
import { closeSync, writeSync } from 'node:fs';
import type { LivePacket } from '../api/backend.ts';
import { envelope } from '../api/envelope.ts';
import { LINK_TYPE, pcapngInterface, pcapngPacket, pcapngSection } from '../capture/index.ts';
import { type Bytes, fromHex } from '../core/index.ts';
import { type Call, CliError, EXIT, printJson, printLines, wantsJson } from './io.ts';
import { openOutput, STDOUT } from './output-file.ts';
import { tapped } from './trace.ts';

export async function capture(call: Call): Promise<number> {
  const { tenant, all, out, snaplen } = call.options;
  if (typeof out !== 'string')
    throw new CliError(EXIT.usage, 'usage', '--out is needed', 'Name a file, or - for stdout');
  if ((tenant === undefined) === (all !== true))
    throw new CliError(EXIT.usage, 'usage', 'either --tenant or --all is needed', 'See: bulkhead tenants');
  const file = openOutput(out);
  const writer = new CaptureWriter((octets) => void writeSync(file, octets), snaplen as number | undefined);
  try {
    for await (const packet of tapped(call)) writer.add(packet);
  } finally {
    if (file !== STDOUT) closeSync(file);
  }
  const { packets, missed, points, cut } = writer;
  if (wantsJson(call) && file !== STDOUT)
    printJson(call.io, envelope('capture', [{ file: out, packets, missed, points, cut }]));
  const unseen = missed === 0 ? '' : `, ${missed} passed unseen`;
  const inPart = cut === 0 ? '' : `, ${cut} times only the beginning of one`;
  printLines(call.io.stderr, [`${packets} packets at ${points.length} points in ${out}${unseen}${inPart}`]);
  return EXIT.ok;
}

/** The file piece by piece; an interface is described before its first packet. */
export class CaptureWriter {
  packets = 0;
  missed = 0;
  /** Packets at a point that stand in the file in part. */
  cut = 0;
  readonly #snaplen: number;
  readonly #write: (octets: Bytes) => void;
  readonly #points = new Map<string, number>();

  constructor(write: (octets: Bytes) => void, snaplen = Number.POSITIVE_INFINITY) {
    this.#write = write;
    this.#snaplen = snaplen;
    write(pcapngSection({ application: 'bulkhead' }));
  }

  get points(): readonly string[] {
    return [...this.#points.keys()];
  }

  add({ time, outcome, stages, points, missed }: LivePacket): void {
    this.packets += 1;
    this.missed += missed;
    const milliseconds = Date.parse(time);
    const seconds = Math.floor(milliseconds / 1000);
    const last = stages.at(-1);
    const verdict = last === undefined ? outcome : `${outcome}: ${last.decision}: ${last.why}`;
    const way = stages.map(({ stage, decision }) => `${stage}: ${decision}`).join('; ');
    for (const { point, direction, octets: seen, length } of points) {
      const octets = fromHex(seen).slice(0, this.#snaplen);
      if (octets.length < length) this.cut += 1;
      this.#write(
        pcapngPacket({
          interface: this.#interface(point),
          time: { seconds, nanoseconds: (milliseconds - seconds * 1000) * 1e6 },
          octets,
          originalLength: length,
          direction,
          comments: [verdict, way],
        }),
      );
    }
  }

  #interface(point: string): number {
    const known = this.#points.get(point);
    if (known !== undefined) return known;
    const index = this.#points.size;
    this.#points.set(point, index);
    this.#write(pcapngInterface({ linkType: LINK_TYPE.raw, name: point }));
    return index;
  }
}
