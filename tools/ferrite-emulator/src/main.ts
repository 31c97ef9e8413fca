import { parseEndpoint } from '@ferrite-migrate/redis'
import { FerriteEmulator } from './emulator.js'

const [backend = 'redis://127.0.0.1:6379', port = '0'] = process.argv.slice(2)
const emulator = await FerriteEmulator.start(parseEndpoint(backend), Number(port))
console.log(`emulating Ferrite at ${emulator.url} over ${backend}`)
