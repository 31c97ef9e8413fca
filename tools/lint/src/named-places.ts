/** Blocks of code: commands and pictures. */
const BLOCK = /^```[\s\S]*?^```$/gm
const SPAN = /`([^`\n]+)`/g
const LINK = /\]\(([^)\s#]+)(?:#[^)\s]*)?\)/g
/** Letters, digits and slashes: no command, pattern, key or address. */
const PATH = /^[\w.][\w.-]*(\/[\w.-]+)*\/?$/

function found(text: string, pattern: RegExp): string[] {
  return [...new Set([...text.replace(BLOCK, '').matchAll(pattern)].map((match) => match[1]))]
}

/** The files and folders that a document in Markdown names as code: whatever has a slash, and files of TypeScript. */
export function namedPlaces(text: string): string[] {
  return found(text, SPAN).filter((span) => PATH.test(span) && (span.includes('/') || span.endsWith('.ts')))
}

/** The files that a document in Markdown links to, without their headings; addresses of the web are none. */
export function linkedPlaces(text: string): string[] {
  return found(text, LINK).filter((link) => !link.includes('://'))
}
