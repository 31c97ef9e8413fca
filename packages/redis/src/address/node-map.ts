import { type Address, MigrateError } from '@ferrite-migrate/contracts'
import { printAddress, readAddress } from './host-port.js'

/** Where servers are reached that announce another address, as behind NAT or in containers. */
export class NodeMap {
  private readonly reachable = new Map<string, Address>()
  private readonly announced = new Map<string, Address>()

  /**
   * @param text `announced=reachable`, or several with commas, each `host:port`, IPv6 in brackets
   * @throws MigrateError FM_OPTION_VALUE
   */
  constructor(text = '') {
    for (const pair of text.split(',').filter((one) => one.trim() !== '')) {
      const [from, to, ...more] = pair.split('=').map((part) => readAddress(part.trim()))
      if (!from || !to || more.length > 0)
        throw new MigrateError(
          'FM_OPTION_VALUE',
          `option node-map has "${pair.trim().slice(0, 120)}", which is no announced=reachable`,
          'Write both as host:port, IPv6 in brackets, such as 10.0.0.5:6379=db1.example.com:6379; several with commas.',
        )
      this.reachable.set(printAddress(from), to)
      this.announced.set(printAddress(to), from)
    }
  }

  /** Where a server is reached that announces this address. */
  reach(announced: Address): Address {
    return this.reachable.get(printAddress(announced)) ?? announced
  }

  /** Whether the map says where this one is. */
  has(announced: Address): boolean {
    return this.reachable.has(printAddress(announced))
  }

  /** What a server announces that is reached at this address. */
  announcedAs(reached: Address): Address {
    return this.announced.get(printAddress(reached)) ?? reached
  }
}
