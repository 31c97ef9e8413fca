/**
 * Runs inside QuickJS, before the script: takes the clock and chance away and gives the function that turns a batch of JSON
 * into the script's values and its answers back. Everything that it needs is taken before the script can change it.
 */
export const JAVASCRIPT_PRELUDE = String.raw`
(() => {
  'use strict'
  const { parse, stringify } = JSON
  const NativeDate = Date, NativeMap = Map, NativeSet = Set, Bytes = Uint8Array, NativePromise = Promise
  const fromCharCode = String.fromCharCode
  const isArray = Array.isArray, keysOf = Object.keys, create = Object.create
  const noClock = () => { throw new Error('a transform has no clock: the same value must always become the same') }
  const noChance = () => { throw new Error('a transform has no random numbers: the same value must always become the same') }
  function Clockless(...parts) {
    if (!new.target || parts.length === 0) noClock()
    return Reflect.construct(NativeDate, parts, new.target)
  }
  Clockless.prototype = NativeDate.prototype
  Clockless.parse = NativeDate.parse
  Clockless.UTC = NativeDate.UTC
  Clockless.now = noClock
  NativeDate.prototype.constructor = Clockless
  globalThis.Date = Clockless
  Math.random = noChance
  delete globalThis.performance
  delete globalThis.os
  delete globalThis.std

  const open = (x) => {
    if (typeof x === 'string') return x
    const text = x.b, bytes = new Bytes(text.length)
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
    return bytes
  }
  const close = (x) => {
    if (typeof x === 'string') return x
    if (x instanceof Bytes) {
      let text = ''
      for (let i = 0; i < x.length; i++) text += fromCharCode(x[i])
      return { b: text }
    }
    throw new TypeError('text or bytes (Uint8Array) are wanted, not ' + kindOf(x))
  }
  const kindOf = (x) => x === null ? 'null' : x instanceof NativePromise ? 'a promise (transforms must not be async)' : isArray(x) ? 'an array' : x === undefined ? 'undefined' : typeof x === 'object' ? 'an object' : 'a ' + typeof x
  const scoreText = (score) => {
    if (typeof score !== 'number' || score !== score) throw new TypeError('a score must be a number, not ' + (score !== score ? 'NaN' : kindOf(score)))
    return score === Infinity ? 'inf' : score === -Infinity ? '-inf' : Object.is(score, -0) ? '-0' : '' + score
  }
  const toScore = (text) => text === 'inf' ? Infinity : text === '-inf' ? -Infinity : +text

  const give = (type, payload) => {
    if (type === 'string') return open(payload)
    if (type === 'list') return payload.map(open)
    if (type === 'set') return new NativeSet(payload.map(open))
    if (type === 'zset') {
      const map = new NativeMap()
      for (let i = 0; i < payload.length; i += 2) map.set(open(payload[i]), toScore(payload[i + 1]))
      return map
    }
    if (type === 'hash') {
      let plain = true
      for (let i = 0; i < payload.length; i += 2) if (typeof payload[i] !== 'string') { plain = false; break }
      if (plain) {
        const object = create(null)
        for (let i = 0; i < payload.length; i += 2) object[payload[i]] = open(payload[i + 1])
        return object
      }
      const map = new NativeMap()
      for (let i = 0; i < payload.length; i += 2) map.set(open(payload[i]), open(payload[i + 1]))
      return map
    }
    return payload.map(([id, flat]) => {
      const fields = []
      for (let i = 0; i < flat.length; i += 2) fields.push([open(flat[i]), open(flat[i + 1])])
      return { id, fields }
    })
  }
  const pairs = (x, last) => {
    const out = []
    if (x instanceof NativeMap) x.forEach((v, k) => { out.push(close(k), last(v)) })
    else if (isArray(x)) for (const pair of x) { if (!isArray(pair) || pair.length !== 2) throw new TypeError('pairs are wanted'); out.push(close(pair[0]), last(pair[1])) }
    else if (typeof x === 'object' && x !== null && !(x instanceof NativeSet) && !(x instanceof Bytes) && !(x instanceof NativePromise)) for (const k of keysOf(x)) out.push(k, last(x[k]))
    else throw new TypeError('an object or a Map is wanted, not ' + kindOf(x))
    return out
  }
  const take = (type, x) => {
    if (type === 'string') return close(x)
    if (type === 'list') { if (!isArray(x)) throw new TypeError('an array is wanted, not ' + kindOf(x)); return x.map(close) }
    if (type === 'set') {
      if (!isArray(x) && !(x instanceof NativeSet)) throw new TypeError('a Set is wanted, not ' + kindOf(x))
      const out = []
      x.forEach((item) => { out.push(close(item)) })
      return out
    }
    if (type === 'zset') return pairs(x, scoreText)
    if (type === 'hash') return pairs(x, close)
    if (!isArray(x)) throw new TypeError('an array of entries is wanted, not ' + kindOf(x))
    return x.map((entry) => [close(entry.id), entry.fields.flatMap(([k, v]) => [close(k), close(v)])])
  }
  const said = (error) => {
    const name = error && error.name ? error.name + ': ' : ''
    const message = error && error.message !== undefined ? error.message : String(error)
    const stack = error && typeof error.stack === 'string' ? error.stack : ''
    const lines = stack.split('\n')
    for (let i = 0; i < lines.length; i++) {
      const at = lines[i].indexOf(FILE + ':')
      if (at >= 0) return name + message + ' (' + lines[i].slice(at).replace(/\)$/, '') + ')'
    }
    return name + message
  }
  let found = {}
  const one = (type, given, answer) => {
    if (answer === given && (type === 'string')) return 0
    if (answer === null) return null
    if (answer === undefined) throw new TypeError('nothing was returned: return the value, or null to leave the key out')
    const payload = take(type, answer)
    return typeof payload === 'string' ? payload : { v: payload }
  }
  const each = (n, ask) => {
    const out = []
    for (let i = 0; i < n; i++) {
      try { out[i] = ask(i) } catch (error) { out[i] = { e: said(error) } }
    }
    return stringify(out)
  }
  const all = (answers, n) => {
    if (!isArray(answers) || answers.length !== n) throw new TypeError('one answer for each of ' + n + ' is wanted, in an array')
    return answers
  }
  return {
    define: (functions) => {
      found = functions
      return { keys: !!(found.transformKey || found.transformKeys), values: !!(found.transformValue || found.transformValues) }
    },
    keys: (text) => {
      const keys = parse(text).map(open)
      const answers = found.transformKeys ? all(found.transformKeys(keys.slice()), keys.length) : null
      return each(keys.length, (i) => one('string', keys[i], answers ? answers[i] : found.transformKey(keys[i])))
    },
    values: (text) => {
      const flat = parse(text), n = flat.length / 3
      let answers = null, given = null
      if (found.transformValues) {
        given = []
        for (let i = 0; i < n; i++) given.push({ key: open(flat[i * 3 + 1]), value: give(flat[i * 3], flat[i * 3 + 2]), type: flat[i * 3] })
        answers = all(found.transformValues(given.map((entry) => ({ ...entry }))), n)
      }
      return each(n, (i) => {
        const type = flat[i * 3]
        const value = answers ? given[i].value : give(type, flat[i * 3 + 2])
        return one(type, value, answers ? answers[i] : found.transformValue(open(flat[i * 3 + 1]), value, type))
      })
    },
    said,
  }
})()
`
