// Loaded by a worker before anything else: cuts it off from the ports that a file names, as a network does that is parted: nothing is
// refused, and what was sent meanwhile comes late.
const { readFileSync } = require('node:fs')
const net = require('node:net')

const file = process.env.FERRITE_MIGRATE_TEST_CUT
const sockets = new Set()
let cut = []

function apply(socket) {
  const isCut = cut.includes(socket.remotePort ?? socket.cutPort)
  if (isCut === socket.isCut) return
  socket.isCut = isCut
  if (isCut) {
    socket.cork()
    socket.pause()
  } else {
    socket.uncork()
    socket.resume()
  }
}

const { connect } = net.Socket.prototype
net.Socket.prototype.connect = function (...args) {
  const [options] = Array.isArray(args[0]) ? args[0] : args
  this.cutPort = Number(options?.port ?? 0)
  sockets.add(this)
  this.once('close', () => sockets.delete(this))
  this.once('connect', () => apply(this))
  if (cut.includes(this.cutPort)) {
    // No answer at all, until whoever connects has had enough.
    const heal = setInterval(() => {
      if (this.destroyed) clearInterval(heal)
      else if (!cut.includes(this.cutPort)) {
        clearInterval(heal)
        connect.apply(this, args)
      }
    }, 50)
    return this
  }
  return connect.apply(this, args)
}

setInterval(() => {
  try {
    const said = JSON.parse(readFileSync(file, 'utf8'))
    // Only the process that is named is cut off, or all of its machine.
    cut = said.pid === undefined || said.pid === process.pid ? said.ports : []
  } catch {
    cut = []
  }
  for (const socket of sockets) apply(socket)
}, 20).unref()
