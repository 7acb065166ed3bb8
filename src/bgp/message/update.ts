/**
 * Whole UPDATEs as records: for people, tests and dumps. The way of routes through the tables is by octets (`update-view.ts`).
 *
 * `decodeUpdate` does what RFC 7606 §2 says: after 'discard' the record has what is left, after 'withdraw' all its routes are withdrawn ones.
 */
import { type Bytes, invariant } from '../../core/index.ts';
import { type AttributeFault, attributeOf, decodeAttributes, encodeAttributes } from './attributes.ts';
import type { Refusal } from './fault.ts';
import { withHeader } from './frame.ts';
import { MESSAGE } from './iana.ts';
import { decodeNlri, encodeNlri } from './nlri.ts';
import { checkUpdate, treatUpdate } from './treatment.ts';
import { type CodecContext, IPV4_UNICAST, type Nlri, type PathAttribute, type UpdateMessage } from './types.ts';
import { newUpdateView, viewUpdate } from './update-view.ts';

export type DecodedUpdate =
  | {
      readonly treatment: 'none' | 'discard' | 'withdraw';
      readonly update: UpdateMessage;
      readonly faults: readonly AttributeFault[];
    }
  | { readonly treatment: 'reset'; readonly refusal: Refusal; readonly faults: readonly AttributeFault[] };

/** A whole message that a `Framer` has found sound. */
export function decodeUpdate(message: Bytes, context: CodecContext): DecodedUpdate {
  const view = newUpdateView();
  const fault = checkUpdate(view, viewUpdate(view, message, 0), message, context);
  const block =
    fault?.treatment === 'reset'
      ? undefined
      : decodeAttributes(message, context, view.attributesAt, view.attributesEnd);
  const { treatment, faults, notification } = treatUpdate(view, message, fault, block);
  if (treatment === 'reset' || block === undefined) {
    invariant(notification !== undefined, 'a reset has its NOTIFICATION');
    const why = faults.map((f) => f.why).join('; ');
    return { treatment: 'reset', refusal: { notification, why }, faults };
  }
  const pathIds = context.addPath.includes(IPV4_UNICAST);
  const nlri = (at: number, end: number): Nlri[] => decodeNlri(message, at, end, 32, pathIds) ?? [];
  const update: UpdateMessage = {
    kind: 'update',
    withdrawn: nlri(view.withdrawnAt, view.withdrawnEnd),
    attributes: block.attributes,
    nlri: nlri(view.nlriAt, view.nlriEnd),
  };
  return { treatment, update: treatment === 'withdraw' ? withdrawnWhole(update) : update, faults };
}

/** Header included. It must fit the context's length: what does not is a bug of whoever packs. */
export function encodeUpdate(update: UpdateMessage, context: CodecContext): Bytes {
  const pathIds = context.addPath.includes(IPV4_UNICAST);
  const message = withHeader(MESSAGE.UPDATE, (w) => {
    w.counted16(() => encodeNlri(w, update.withdrawn, pathIds));
    w.counted16(() => w.bytes(encodeAttributes(update.attributes, context)));
    encodeNlri(w, update.nlri, pathIds);
  });
  invariant(message.length <= context.maximumLength, 'an UPDATE fits the length that was settled');
  return message;
}

/** RFC 7606 §2, treat-as-withdraw: all routes as though they had come as withdrawn ones. */
export function withdrawnWhole(update: UpdateMessage): UpdateMessage {
  const attributes: PathAttribute[] = [];
  for (const attribute of update.attributes) {
    const { value } = attribute;
    if (value.name === 'mpReach') {
      attributes.push(attributeOf({ name: 'mpUnreach', family: value.family, withdrawn: value.nlri }));
    } else if (value.name === 'mpReachOctets') {
      attributes.push(attributeOf({ name: 'mpUnreachOctets', family: value.family, withdrawn: value.nlri }));
    } else if (value.name === 'mpUnreach' || value.name === 'mpUnreachOctets') {
      attributes.push(attribute);
    }
  }
  return { kind: 'update', withdrawn: [...update.withdrawn, ...update.nlri], attributes, nlri: [] };
}
