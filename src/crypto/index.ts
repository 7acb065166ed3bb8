/** The one home of cryptography: the transforms of IKEv2's registries, what they compute, and the engines beneath. */
export { type AesMac, aesCmac, aesXcbc, type CbcMac } from './aes-mac.ts';
export * from './burst.ts';
export * from './compare.ts';
export * from './contract.ts';
export * from './digest.ts';
export { ENCRYPTIONS, encryptionById, encryptionByWord } from './encryption.ts';
export { nobleEngine } from './engine-noble.ts';
export { nodeEngine } from './engine-node.ts';
export { GROUPS, groupById, groupByWord } from './group.ts';
export { INTEGRITIES, integrityById, integrityByWord } from './integrity.ts';
export * from './ladder.ts';
export { checkKeys } from './layout.ts';
export * from './lazy.ts';
export { PRFS, prfById, prfByWord, prfPlus } from './prf.ts';
export { defaultEngine, ENGINES, protection } from './protection.ts';
export * from './random.ts';
export { answerOf, SUITES, type Suite, selfTest } from './self-test.ts';
