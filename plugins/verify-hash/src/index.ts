export type { HashAlgorithm } from './end-digests.js'
export { type HashReport, type HashVerificationOptions, verifyHashes } from './hash-verification.js'
export { KeySample } from './key-sample.js'
export { ServerDigest } from './server-digest.js'
