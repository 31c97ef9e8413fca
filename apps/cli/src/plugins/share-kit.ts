import module from 'node:module'

/** What commands of plugins import and need not bring: they get the program's own. */
const SHARED = /^@ferrite-migrate\/(cli-kit|core)(\/|$)/

/**
 * Lets plugins that were installed apart find what they share with the program. Their packages name it as an optional peer, so that
 * whoever uses one as a library does not install a command line.
 */
export function shareKit(): void {
  // Node 22.13 and 22.14 have only hooks in a thread of their own, which would cost every start.
  if (typeof module.registerHooks !== 'function') return
  module.registerHooks({
    resolve(specifier, context, next) {
      try {
        return next(specifier, context)
      } catch (error) {
        if (!SHARED.test(specifier)) throw error
        return next(specifier, { ...context, parentURL: import.meta.url })
      }
    },
  })
}
