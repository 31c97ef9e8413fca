export { type Answers, KINDS, type Kind, LANGUAGES, type Language } from './answers.js'
export { filesOf } from './files-of.js'
