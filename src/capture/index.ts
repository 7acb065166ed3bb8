/**
 * Captures as a library: pcap and pcapng files, Wireshark's key tables, and a dissector for IKE and ESP that decrypts.
 *
 * ```ts
 * const keys = new KeyRing();
 * keys.addIkeTable(ikeTableText);
 * const dissector = new Dissector({ keys });
 * for (const frame of readCapture(chunks)) console.log(recordTree(dissector.dissect(frame)).join('\n'));
 * ```
 */
export * from './capture-file.ts';
export { Dissector, type DissectorOptions, IKE_PORT, looksLikeIke } from './dissect.ts';
export type { Field, Fields } from './fields.ts';
export { type CaptureTime, type Frame, formatTime, LINK_TYPE, MAX_FRAME, secondsBetween } from './frame.ts';
export { recordFields } from './json.ts';
export { KeyRing } from './keys.ts';
export { findPacket, type LinkContent } from './link.ts';
export { type PcapFormat, pcapHeader, pcapRecord, readPcap } from './pcap.ts';
export {
  type PcapngInterface,
  type PcapngPacket,
  pcapngInterface,
  pcapngPacket,
  pcapngSection,
  readPcapng,
} from './pcapng.ts';
export type * from './record.ts';
export { recordSummary, recordTree } from './tree.ts';
export type { TableIssue } from './uat.ts';
export {
  ESP_TABLE_FILE,
  type EspKeys,
  espTableRows,
  IKE_TABLE_FILE,
  type IkeKeys,
  ikeTableRow,
  type KeyTable,
  parseEspTable,
  parseIkeTable,
  type RowOptions,
} from './wireshark.ts';
