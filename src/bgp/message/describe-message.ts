/**
 * Whole messages in one line of words, for logs.
 *
 * Limit: SHOWN prefixes of a message are named and the others counted, so that a line is short however long the message is.
 */
import type { Bytes } from '../../core/index.ts';
import {
  describeAttribute,
  describeCapability,
  describeFamily,
  describeNlri,
  describeNotification,
} from './describe.ts';
import { messageType } from './frame.ts';
import { MESSAGE, messageName, REFRESH } from './iana.ts';
import { decodeControlMessage } from './message.ts';
import { type CodecContext, type Family, IPV4_UNICAST, type Nlri, type PathAttribute } from './types.ts';
import { decodeUpdate } from './update.ts';

/** `OPEN AS 65020, …`; what follows the name of the type. The context is that of the direction the message went. */
export function describeMessage(message: Bytes, context: CodecContext): string {
  const type = messageType(message, 0);
  return type === MESSAGE.UPDATE ? `UPDATE ${describeUpdate(message, context)}` : describeControl(message, type);
}

function describeControl(message: Bytes, type: number): string {
  const decoded = decodeControlMessage(message);
  if (!decoded.ok) return `${messageName(type)} that is wrong: ${decoded.refusal.why}`;
  const { value } = decoded;
  switch (value.kind) {
    case 'open': {
      const { version, myAs, holdSeconds, identifier, capabilities } = value;
      const id = [24, 16, 8, 0].map((shift) => (identifier >>> shift) & 0xff).join('.');
      const about = [`version ${version}`, `AS ${myAs}`, `hold ${holdSeconds} s`, `ID ${id}`];
      return `OPEN ${[...about, ...capabilities.map(describeCapability)].join(', ')}`;
    }
    case 'notification':
      return `NOTIFICATION ${describeNotification(value)}`;
    case 'keepalive':
      return 'KEEPALIVE';
    case 'routeRefresh':
      return `ROUTE-REFRESH ${describeFamily(value.family)}${REFRESH_WORDS[value.subtype] ?? `, subtype ${value.subtype}`}`;
  }
}

function describeUpdate(message: Bytes, context: CodecContext): string {
  const decoded = decodeUpdate(message, context);
  const wrong = decoded.faults.map(({ why }) => why).join('; ');
  if (decoded.treatment === 'reset') return `that is wrong: ${decoded.refusal.why}`;
  const { withdrawn, attributes, nlri } = decoded.update;
  const ended = endedFamily(withdrawn, attributes, nlri);
  if (ended !== undefined) return `End-of-RIB ${describeFamily(ended)}`;
  const parts = [
    ...(nlri.length === 0 ? [] : [describePrefixes(nlri)]),
    ...attributes.map((attribute) => describeShort(attribute)),
    ...(withdrawn.length === 0 ? [] : [`withdrawn ${describePrefixes(withdrawn)}`]),
    ...(decoded.treatment === 'none' ? [] : [`${TREATMENTS[decoded.treatment]}: ${wrong}`]),
  ];
  return parts.join('; ');
}

/** RFC 4724 §2. */
function endedFamily(
  withdrawn: readonly Nlri[],
  attributes: readonly PathAttribute[],
  nlri: readonly Nlri[],
): Family | undefined {
  if (withdrawn.length > 0 || nlri.length > 0 || attributes.length > 1) return undefined;
  const value = attributes[0]?.value;
  if (value === undefined) return IPV4_UNICAST;
  return value.name === 'mpUnreach' && value.withdrawn.length === 0 ? value.family : undefined;
}

function describeShort(attribute: PathAttribute): string {
  const { value } = attribute;
  if (value.name === 'mpReach' && value.nlri.length > SHOWN)
    return `${describeAttribute({ ...attribute, value: { ...value, nlri: value.nlri.slice(0, SHOWN) } })}${more(value.nlri)}`;
  if (value.name === 'mpUnreach' && value.withdrawn.length > SHOWN)
    return `${describeAttribute({ ...attribute, value: { ...value, withdrawn: value.withdrawn.slice(0, SHOWN) } })}${more(value.withdrawn)}`;
  const words = describeAttribute(attribute);
  return words.length > LONG ? `${words.slice(0, LONG)}…` : words;
}

const describePrefixes = (nlri: readonly Nlri[]): string =>
  `${nlri.slice(0, SHOWN).map(describeNlri).join(', ')}${more(nlri)}`;

const more = ({ length }: readonly Nlri[]): string => (length > SHOWN ? ` and ${length - SHOWN} more` : '');

const REFRESH_WORDS: Readonly<Record<number, string>> = {
  [REFRESH.REQUEST]: '',
  [REFRESH.BEGIN]: ' begins',
  [REFRESH.END]: ' ends',
};
const TREATMENTS = { discard: 'attributes discarded', withdraw: 'treated as withdrawn' } as const;
const SHOWN = 10;
/** Characters of an attribute. */
const LONG = 400;
