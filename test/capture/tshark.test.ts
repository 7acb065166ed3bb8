import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  Dissector,
  type FrameRecord,
  KeyRing,
  LINK_TYPE,
  pcapngInterface,
  pcapngPacket,
  pcapngSection,
  readCapture,
} from '../../src/capture/index.ts';
import { type Bytes, concat, toHex } from '../../src/core/index.ts';
import { espTableOf, ikeTableOf, sessions } from './sessions.ts';
import { everyEspTable, everyIkeTable } from './suites.ts';

const absent = spawnSync('tshark', ['--version']).error !== undefined;
if (absent) {
  const reason = 'tshark is not installed: what Wireshark makes of our captures and key tables is not tested';
  if (process.env.BULKHEAD_REQUIRE_PEERS === '1') throw new Error(reason);
  console.warn(`skipped: ${reason}`);
}

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'bulkhead-tshark-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Runs tshark on a capture with these tables as its profile. */
function tshark(capture: Bytes, ikeTable: string, espTable: string, args: readonly string[]) {
  const profile = join(directory, 'wireshark');
  mkdirSync(profile, { recursive: true });
  writeFileSync(join(profile, 'ikev2_decryption_table'), ikeTable);
  writeFileSync(join(profile, 'esp_sa'), espTable);
  const file = join(directory, 'capture.pcapng');
  writeFileSync(file, capture);
  const { stdout, stderr, status } = spawnSync(
    'tshark',
    ['-r', file, '-o', 'esp.enable_encryption_decode:TRUE', '-o', 'esp.enable_authentication_check:TRUE', ...args],
    { env: { ...process.env, XDG_CONFIG_HOME: directory }, encoding: 'utf8', maxBuffer: 1 << 28 },
  );
  const complaints = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('Running as user "root"'));
  return { status, complaints, lines: stdout.trimEnd().split('\n') };
}

/** All sessions in one pcapng file, an interface and a comment for each. */
function allSessions(): Bytes {
  const parts = [pcapngSection({ application: 'bulkhead' })];
  for (const session of sessions) parts.push(pcapngInterface({ linkType: LINK_TYPE.ethernet, name: session.name }));
  sessions.forEach((session, i) => {
    for (const frame of readCapture([new Uint8Array(readFileSync(session.pcap))])) {
      parts.push(pcapngPacket({ interface: i, time: frame.time!, octets: frame.octets, comments: [session.name] }));
    }
  });
  return concat(...parts);
}

/** Wireshark holds one row for a pair of SPIs; the IKE_INTERMEDIATE of this session changes the keys within it. */
const CHANGES_KEYS = 'v6-multike-x25519-mlkem768';

const typesOf = ({ content }: FrameRecord): number[] =>
  content.is === 'ike'
    ? [...content.payloads, ...(content.sealed?.payloads ?? [])].map((p) =>
        p.type === 'unknown' ? p.payloadType : p.type,
      )
    : [];

describe.skipIf(absent)('tshark with our captures and key tables', () => {
  const capture = allSessions();
  const ikeTable = sessions.map(ikeTableOf).join('');
  const espTable = sessions.map(espTableOf).join('');
  const dissect = (): FrameRecord[] => {
    const keys = new KeyRing();
    keys.addIkeTable(ikeTable);
    keys.addEspTable(espTable);
    const dissector = new Dissector({ keys });
    return [...readCapture([capture])].map((frame) => dissector.dissect(frame));
  };
  const changesKeys = (record: FrameRecord): boolean => record.interfaceName === CHANGES_KEYS;

  it('shows the same payloads, sees the same packets inside ESP, and verifies what we verify', () => {
    const fields = ['frame.number', 'frame.interface_name', 'isakmp.typepayload', 'esp.icv_good', 'esp.contained_data'];
    const { status, complaints, lines } = tshark(capture, ikeTable, espTable, [
      '-T',
      'fields',
      '-E',
      'separator=|',
      ...fields.flatMap((f) => ['-e', f]),
    ]);
    expect([status, complaints]).toEqual([0, []]);
    const records = dissect();
    expect(lines).toHaveLength(records.length);
    let compared = 0;
    records.forEach((record, i) => {
      const [number, name, types, icvGood, contained] = lines[i]!.split('|');
      expect([Number(number), name]).toEqual([record.frame, record.interfaceName]);
      const { content } = record;
      if (content.is === 'esp') {
        expect([record.frame, icvGood, contained]).toEqual([record.frame, '1', toHex(content.inner!.octets)]);
        compared += 1;
      } else if (!changesKeys(record)) {
        // Wireshark lists proposals (2) and transforms (3) among the payloads.
        const theirs = types!
          .split(',')
          .filter((t) => t !== '' && t !== '2' && t !== '3')
          .map(Number);
        expect([record.frame, ...theirs]).toEqual([record.frame, ...typesOf(record)]);
        compared += 1;
      }
    });
    expect(compared).toBeGreaterThan(400);
  });

  it('verifies every IKE message', () => {
    const filter = `isakmp && !(frame.interface_name == "${CHANGES_KEYS}")`;
    const { lines } = tshark(capture, ikeTable, espTable, ['-V', '-Y', filter]);
    const verdicts = lines.filter((line) => line.includes('Integrity Checksum Data:'));
    const sealed = dissect().filter((r) => r.content.is === 'ike' && r.content.sealed !== undefined && !changesKeys(r));
    expect(verdicts).toHaveLength(sealed.length);
    expect(verdicts.filter((line) => !line.endsWith('[correct]'))).toEqual([]);
  });

  it('accepts the names of every suite it knows, and the unchecked names for the rest', () => {
    const small = concat(pcapngSection(), pcapngInterface({ linkType: LINK_TYPE.raw }));
    const { complaints } = tshark(small, everyIkeTable(true), everyEspTable(true), []);
    expect(complaints).toEqual([]);
  });

  it('names nothing but the lines it cannot know, and loads the others', () => {
    const { complaints, lines } = tshark(capture, everyIkeTable(false) + ikeTable, everyEspTable(false) + espTable, [
      '-T',
      'fields',
      '-e',
      'esp.icv_good',
      '-Y',
      'esp',
    ]);
    for (const line of complaints) expect(line).toMatch(/Error loading table .*: invalid value: (AES|ChaCha20)/);
    expect(new Set(lines)).toEqual(new Set(['1']));
  });
});
