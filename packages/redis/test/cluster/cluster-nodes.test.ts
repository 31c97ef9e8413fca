import { describe, expect, it } from 'vitest'
import { parseNodes, ShardNames, slotRanges, strangers, viewOf } from '../../dist/index.js'

const id = (digit: string): string => digit.repeat(40)
const A = `${id('a')} 10.0.0.1:6379@16379,db1.example.com myself,master - 0 0 3 connected 0-5460 [77->-${id('b')}]`
const B = `${id('b')} 10.0.0.2:6379@16379 master - 0 1 2 connected 5461-16383`
const C6 = `${id('c')} 2001:db8::1:6379@16379 slave ${id('a')} 0 1 3 connected`
const text = [A, B, C6].join('\n')
const asked = { host: '127.0.0.1', port: 1 }

describe('an answer to CLUSTER NODES', () => {
  it('is read with names, IPv6, flags and slots under way', () => {
    const { self, nodes, moving } = parseNodes(text, asked)
    expect(self).toBe(id('a'))
    expect(nodes.map(({ address }) => address)).toEqual([
      { host: 'db1.example.com', port: 6379 },
      { host: '10.0.0.2', port: 6379 },
      { host: '2001:db8::1', port: 6379 },
    ])
    expect(nodes.map(({ role }) => role)).toEqual(['primary', 'primary', 'replica'])
    expect(nodes[0].slots).toEqual([[0, 5460]])
    expect(moving).toEqual([{ slot: 77, from: id('a'), to: id('b') }])
  })

  it('takes the address that was asked for a node that does not know its own', () => {
    const alone = `${id('a')} :6379@16379 myself,master - 0 0 0 connected 0-16383`
    expect(parseNodes(alone, asked).nodes[0].address).toEqual(asked)
  })

  it('is refused where it is none, cut anywhere', () => {
    for (const bad of [
      '',
      'x',
      '-ERR no',
      `${id('a')} 1.1.1.1:1@2`,
      B,
      `${A.slice(0, 39)}`,
      A.replace('0-5460', '0-99999'),
    ])
      expect(() => parseNodes(bad, asked)).toThrow(expect.objectContaining({ code: 'FM_CLUSTER_NODES' }))
    // Whatever is left of it, there is an answer or a clear refusal.
    for (let end = 0; end < text.length; end++)
      try {
        parseNodes(text.slice(0, end), asked)
      } catch (error) {
        expect(error).toMatchObject({ code: 'FM_CLUSTER_NODES' })
      }
  })
})

describe('the view of a cluster', () => {
  const seenByB = [A.replace('myself,', '').replace(/ \[77.*$/, ''), B.replace('master', 'myself,master'), C6].join(
    '\n',
  )

  it('is one of what all say', () => {
    const view = viewOf([parseNodes(text, asked), parseNodes(seenByB, asked)], new ShardNames())
    expect(view.shards.map(({ name }) => name)).toEqual([id('a'), id('b')])
    expect([view.owners[0], view.owners[16_383]]).toEqual([0, 1])
    expect(view.disputed.size).toBe(0)
    expect([...view.moving.keys()]).toEqual([77])
  })

  it('is of one cluster only: who knows nobody of the others is a stranger', () => {
    const [a, b] = [parseNodes(text, asked), parseNodes(seenByB, asked)]
    const node = (self: string, ...others: string[]) => ({
      ...{ self, moving: [] },
      nodes: [self, ...others].map((one) => ({ ...a.nodes[0], id: one })),
    })
    expect([strangers([]), strangers([a]), strangers([a, b])]).toEqual([null, null, null])
    expect(strangers([a, b, node('x', 'y')])).toEqual([a.self, 'x'])
    // By way of one that both know, in whatever order they answer.
    expect(strangers([node('k', 'l'), node('m', 'n'), node('l', 'm')])).toBeNull()
    expect(strangers([node('k', 'l'), node('n', 'o'), node('m', 'n'), node('l', 'm')])).toBeNull()
  })

  it('takes the later epoch where two claim a slot, and says that they disagree', () => {
    const claims = seenByB.replace('5461-16383', '5460-16383').replace('0 1 2', '0 1 9')
    const view = viewOf([parseNodes(text, asked), parseNodes(claims, asked)], new ShardNames())
    expect(view.owners[5460]).toBe(1)
    expect([...view.disputed]).toEqual([5460])
  })

  it('does not believe a node that shows a slot as leaving which it has lost', () => {
    const lost = text.replace('0-5460', '0-76 78-5460')
    const has = seenByB.replace('5461-16383', '77 5461-16383').replace('0-5460', '0-76 78-5460')
    expect(viewOf([parseNodes(lost, asked), parseNodes(has, asked)], new ShardNames()).moving.size).toBe(0)
  })

  it('names a shard by who was in it, whoever leads it', () => {
    const names = new ShardNames()
    expect(names.of(['b', 'a'])).toBe('a')
    expect(names.of(['a', '0'])).toBe('a')
    expect(names.of(['0'])).toBe('a')
    expect(names.of(['c'])).toBe('c')
  })

  it('writes slots as people do', () => {
    expect(slotRanges([0, 1, 2, 5, 7, 8])).toBe('0-2,5,7-8')
    expect(slotRanges([])).toBe('')
  })
})
