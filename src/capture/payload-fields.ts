/**
 * IKE payloads as plain fields: one description for the printed tree and for JSON.
 *
 * Read first: RFC 7296 §3.2–3.16; §3.10.1 and its extensions for the data of notifications (`notify-fields.ts`).
 * Octets are hexadecimal. Key names are stable: they are the JSON of `bulkhead decode --json`.
 */
import { toHex } from '../core/index.ts';
import {
  authMethodName,
  type ConfigurationPayload,
  certEncodingName,
  configurationAttributeName,
  configurationKindName,
  eapCodeName,
  formatIdentity,
  formatProposal,
  formatTransform,
  idTypeName,
  PAYLOAD,
  type Payload,
  type Proposal,
  payloadName,
  protocolName,
  type TsPayload,
  transformTypeName,
} from '../ike/index.ts';
import { formatAddress, formatSelector } from '../ip/index.ts';
import { type Field, type Fields, groupWord, printable, sized } from './fields.ts';
import { type NotifyContext, notifyFields } from './notify-fields.ts';

/** Fields of one payload, its name and number first. */
export function payloadFields(payload: Payload, context: NotifyContext): Fields {
  const number = payload.type === 'unknown' ? payload.payloadType : payload.type;
  return {
    payload: payloadName(number),
    type: number,
    ...(payload.critical ? { critical: true } : {}),
    ...bodyFields(payload, context),
  };
}

function bodyFields(payload: Payload, context: NotifyContext): Fields {
  switch (payload.type) {
    case PAYLOAD.SA:
      return { proposals: payload.proposals.map(proposalFields) };
    case PAYLOAD.KE:
      return {
        group: payload.group,
        groupName: groupWord(payload.group),
        ...sized('publicValue', payload.publicValue),
      };
    case PAYLOAD.IDI:
    case PAYLOAD.IDR:
      return { idType: idTypeName(payload.identity.type), identity: formatIdentity(payload.identity) };
    case PAYLOAD.CERT:
      return { encoding: certEncodingName(payload.encoding), ...sized('data', payload.data) };
    case PAYLOAD.CERTREQ:
      return { encoding: certEncodingName(payload.encoding), ...sized('authorities', payload.authorities) };
    case PAYLOAD.AUTH:
      return { method: payload.method, methodName: authMethodName(payload.method), ...sized('data', payload.data) };
    case PAYLOAD.NONCE:
      return sized('nonce', payload.nonce);
    case PAYLOAD.NOTIFY:
      return notifyFields(payload, context);
    case PAYLOAD.DELETE:
      return { protocol: protocolName(payload.protocol), spis: payload.spis.map(toHex) };
    case PAYLOAD.VENDOR:
      return { ...printable(payload.data), ...sized('data', payload.data) };
    case PAYLOAD.TSI:
    case PAYLOAD.TSR:
      return { selectors: selectorFields(payload) };
    case PAYLOAD.SK:
      return { length: payload.data.length };
    case PAYLOAD.SKF:
      return { fragment: payload.fragment, total: payload.total, length: payload.data.length };
    case PAYLOAD.CP:
      return { kind: configurationKindName(payload.kind), attributes: attributeFields(payload) };
    case PAYLOAD.EAP:
      return { code: eapCodeName(payload.code), identifier: payload.identifier, ...sized('data', payload.data) };
    default:
      return sized('data', payload.data);
  }
}

function proposalFields(proposal: Proposal): Fields {
  return {
    number: proposal.number,
    protocol: protocolName(proposal.protocol),
    ...(proposal.spi.length === 0 ? {} : { spi: toHex(proposal.spi) }),
    words: formatProposal(proposal),
    transforms: proposal.transforms.map((transform) => ({
      type: transformTypeName(transform.type),
      id: transform.id,
      ...(transform.keyBits === undefined ? {} : { keyBits: transform.keyBits }),
      word: formatTransform(transform),
    })),
  };
}

const selectorFields = (payload: TsPayload): Field[] => [
  ...payload.selectors.map((s) => ({
    selector: formatSelector(s),
    protocol: s.protocol,
    startPort: s.startPort,
    endPort: s.endPort,
    start: formatAddress(s.start),
    end: formatAddress(s.end),
  })),
  ...payload.unknown.map((s) => ({ selectorType: s.type, protocol: s.protocol, data: toHex(s.data) })),
];

const attributeFields = (payload: ConfigurationPayload): Field[] =>
  payload.attributes.map(({ type, value }) => ({
    attribute: configurationAttributeName(type),
    type,
    ...(ADDRESSES.test(configurationAttributeName(type)) && (value.length === 4 || value.length === 16)
      ? { address: formatAddress(value) }
      : {}),
    value: toHex(value),
  }));

const ADDRESSES = /^INTERNAL_IP[46]_(ADDRESS|NETMASK|DNS|NBNS|DHCP)$/;
