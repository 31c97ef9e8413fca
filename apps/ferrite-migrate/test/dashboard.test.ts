import { mkdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ClusterWriter, until } from '@ferrite-migrate/servers'
import type { Page } from 'playwright-core'
import { describe, expect, it } from 'vitest'
import { barriers, CHROMIUM, openBrowser, openPage } from './chromium.js'
import { startCluster } from './clusters.js'
import { command, stateDir } from './run.js'
import { start, stops } from './servers.js'
import { Tool } from './tool.js'

/** Where pictures go that are to be looked at. */
const PICTURES = process.env.FERRITE_MIGRATE_PICTURES

async function picture(page: Page, name: string): Promise<void> {
  if (PICTURES === undefined) return
  mkdirSync(PICTURES, { recursive: true })
  await page.screenshot({ path: join(PICTURES, `${name}.png`) })
  await page.screenshot({ path: join(PICTURES, `${name}-whole.png`), fullPage: true })
}

/** The address of a dashboard that was started as its users do. */
async function dashboard(state: string): Promise<string> {
  const tool = new Tool(['dashboard', '--no-open', '--listen', '0', '--state-dir', state])
  stops.push(async () => {
    tool.child.kill('SIGINT')
    await tool.over
  })
  await tool.says(/Dashboard: \S+#token=\S+\n/)
  return /Dashboard: (\S+)/.exec(tool.output)![1]
}

describe.skipIf(CHROMIUM === undefined)('the dashboard, in a browser', () => {
  it('starts a migration, shows its lag, cuts it over and shows it done', { timeout: 180_000 }, async () => {
    const source = await start()
    const target = await start()
    for (let i = 0; i < 300; i++)
      await command(source.url, 'SET', `user:${i}:name`, `${i}`, ...(i % 3 ? [] : ['EX', '9000']))
    await command(source.url, 'LPUSH', 'a:list', '1', '2')
    const url = await dashboard(stateDir())
    const browser = await openBrowser()
    stops.push(() => browser.close())
    const { page, wrong } = await openPage(browser, { viewport: { width: 1280, height: 900 } })
    await page.goto(url)
    await page.getByText('There is none yet').waitFor()
    expect(page.url()).not.toContain('token')
    expect(await barriers(page)).toEqual([])
    await page.getByRole('button', { name: 'New migration' }).click()
    await page.getByLabel('Source').fill('redis://127.0.0.1:1')
    await page.getByLabel('Target').fill(target.url)
    await page.getByLabel('Name').fill('web')
    // So that a test that fails leaves nothing behind.
    await page.getByLabel('goes on when').uncheck()
    await page.getByRole('button', { name: 'Check' }).click()
    await page.getByRole('alert').getByText('FM_CONNECT_REFUSED').waitFor()
    await page.getByLabel('Source').fill(source.url)
    await page.getByRole('button', { name: 'Check' }).click()
    await page.getByRole('button', { name: 'Start' }).waitFor()
    expect(await barriers(page)).toEqual([])
    await picture(page, 'start')
    await page.getByRole('button', { name: 'Start' }).click()
    await page.getByRole('button', { name: 'Cut over' }).waitFor()
    const figure = (name: string) => page.locator('.figures div', { hasText: name }).locator('dd')
    await until(async () => (await figure('Writes of keys').textContent()) === '301', 'all keys')
    await command(source.url, 'SET', 'later', '1')
    await until(async () => Number(await figure('Changes applied').textContent()) > 0, 'a change')
    await page.getByRole('button', { name: 'Pause' }).click()
    await page.getByRole('button', { name: 'Resume' }).waitFor()
    for (let i = 0; i < 50; i++) await command(source.url, 'INCR', 'counted')
    await until(async () => !/^0 changes/.test((await figure('Behind').textContent()) ?? ''), 'a lag')
    await picture(page, 'paused')
    await page.getByRole('button', { name: 'Resume' }).click()
    await until(async () => /^0 changes/.test((await figure('Behind').textContent()) ?? ''), 'no lag')
    await page.getByRole('button', { name: 'Look at the source' }).click()
    await page.getByText('Key prefixes').waitFor()
    await until(async () => (await page.locator('.curves svg').count()) > 0, 'a curve')
    expect(await barriers(page)).toEqual([])
    await page.getByRole('button', { name: 'Cut over' }).click()
    const go = page.getByRole('dialog').getByRole('button', { name: 'Cut over' })
    await page.getByLabel('to confirm').fill('another:6379')
    expect(await go.isDisabled()).toBe(true)
    await page.getByLabel('to confirm').fill(new URL(target.url).host)
    await until(() => go.isEnabled(), 'checks')
    expect(await barriers(page)).toEqual([])
    await picture(page, 'cutover')
    await go.click()
    await page.getByText('Writers waited').first().waitFor()
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click()
    await page.getByRole('heading', { name: 'completed' }).waitFor()
    await page.getByRole('heading', { name: 'Verification' }).waitFor()
    await picture(page, 'done')
    expect(String(await command(target.url, 'GET', 'counted'))).toBe('50')
    expect(await barriers(page)).toEqual([])
    await page.getByRole('button', { name: 'Roll back' }).click()
    await page.getByRole('dialog').getByText('To be removed').waitFor()
    expect(await page.getByRole('dialog').getByRole('button', { name: 'Roll back' }).isDisabled()).toBe(true)
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await page.getByRole('link', { name: 'ferrite-migrate' }).click()
    await page.getByRole('link', { name: 'web' }).waitFor()
    expect(await barriers(page)).toEqual([])
    // Of a configuration that failed the console of the browser says nothing: it is an answer.
    expect(wrong).toEqual([])
  })

  it('says so while the service stands still, shows when its figures are of, and goes on with it', {
    timeout: 180_000,
  }, async () => {
    const [source, target] = [await start(), await start()]
    const state = stateDir()
    const run = new Tool([
      'migrate',
      '-s',
      source.url,
      '-t',
      target.url,
      '-m',
      'live',
      '--id',
      'still',
      '--state-dir',
      state,
    ])
    stops.push(() => run.kill())
    await run.says('LIVE_SYNC')
    const service = new Tool(['dashboard', '--no-open', '--listen', '0', '--state-dir', state])
    stops.push(() => service.kill())
    await service.says(/Dashboard: \S+#token=\S+\n/)
    const browser = await openBrowser()
    stops.push(() => browser.close())
    const { page } = await openPage(browser)
    await page.goto(/Dashboard: (\S+)/.exec(service.output)![1])
    await page.getByRole('link', { name: 'still' }).click()
    await page.getByRole('button', { name: 'Cut over' }).waitFor()
    service.child.kill('SIGSTOP')
    await page.getByText('this is how it was at').waitFor()
    await page.getByText('out of reach').first().waitFor()
    service.child.kill('SIGCONT')
    await page.getByText('connected').waitFor()
    await page.getByText('this is how it was at').waitFor({ state: 'detached' })
  })

  it('asks for passwords, which are stored nowhere, where one is gone on with, looked at or rolled back', {
    timeout: 180_000,
  }, async () => {
    const source = await start({ args: ['--requirepass', 'sesame'] })
    const target = await start()
    const whole = source.url.replace('://', '://:sesame@')
    await command(whole, 'SET', 'a', '1')
    const state = stateDir()
    const tool = new Tool([
      'migrate',
      '-s',
      whole,
      '-t',
      target.url,
      '-m',
      'live',
      '--id',
      'kept',
      '--state-dir',
      state,
    ])
    await tool.says('LIVE_SYNC')
    tool.child.kill('SIGINT')
    await tool.over
    const url = await dashboard(state)
    const browser = await openBrowser()
    stops.push(() => browser.close())
    const { page, wrong } = await openPage(browser, { viewport: { width: 1280, height: 900 } })
    await page.goto(url)
    await page.getByRole('link', { name: 'kept' }).click()
    await page.getByRole('button', { name: 'Look at the source' }).click()
    await page.getByLabel('Source with its password').fill(whole)
    await page.getByRole('button', { name: 'Try again' }).click()
    await page.getByText('Key prefixes').waitFor()
    await page.getByRole('button', { name: 'Go on' }).click()
    await page.getByLabel('Source with its password').fill(whole)
    expect(await barriers(page)).toEqual([])
    await page.getByRole('button', { name: 'Try again' }).click()
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByRole('button', { name: 'Stop it' }).click()
    await page.getByRole('heading', { name: 'interrupted' }).waitFor()
    expect(await page.content()).not.toContain('sesame')
    expect(wrong).toEqual([])
  })

  it('asks for the token, and shows a cluster at all widths, light and dark', { timeout: 180_000 }, async () => {
    const [cluster, target] = await Promise.all([startCluster('7.0', { replicas: 0 }), start()])
    const writer = await ClusterWriter.start(cluster.url, { perSecond: 800 })
    const state = stateDir()
    const tool = new Tool([
      'migrate',
      '-s',
      cluster.url,
      '-t',
      target.url,
      '-m',
      'live',
      '--id',
      'shards',
      '--state-dir',
      state,
    ])
    stops.push(() => tool.kill())
    await tool.says('LIVE_SYNC')
    const url = new URL(await dashboard(state))
    const token = url.hash.slice('#token='.length)
    url.hash = ''
    if (PICTURES !== undefined) await sleep(25_000)
    const browser = await openBrowser()
    stops.push(() => browser.close())
    for (const width of [1280, 400])
      for (const colorScheme of ['light', 'dark'] as const) {
        const { page, wrong } = await openPage(browser, { viewport: { width, height: 900 }, colorScheme })
        await page.goto(String(url))
        await page.getByLabel('Token').fill('not-the-token-at-all')
        await page.getByRole('button', { name: 'Go on' }).click()
        await page.getByText('does not take this token').waitFor()
        expect(await barriers(page)).toEqual([])
        await page.getByLabel('Token').fill(token)
        await page.getByRole('button', { name: 'Go on' }).click()
        await page.getByRole('link', { name: 'shards' }).waitFor()
        expect(await barriers(page)).toEqual([])
        await picture(page, `list-${width}-${colorScheme}`)
        await page.getByRole('button', { name: 'New migration' }).click()
        const box = await page.getByRole('dialog').boundingBox()
        expect([(box?.x ?? -1) >= 0, (box?.x ?? 0) + (box?.width ?? 0) <= width]).toEqual([true, true])
        await page.keyboard.press('Escape')
        await page.getByRole('link', { name: 'shards' }).click()
        const rows = page.getByRole('region', { name: 'Shards' }).locator('tbody tr')
        await until(async () => (await rows.count()) === 3, 'three shards')
        await until(async () => /5,46[0-9]/.test((await rows.first().textContent()) ?? ''), 'their slots')
        await until(async () => (await page.locator('.curves svg').count()) > 2, 'curves')
        expect(await barriers(page)).toEqual([])
        const started = page.getByRole('region', { name: 'Events' }).locator('td', { hasText: /^started$/ })
        await page.reload()
        await started.first().waitFor()
        const applied = page.locator('.figures div', { hasText: 'Changes applied' }).locator('dd')
        const before = await applied.textContent()
        await until(async () => (await applied.textContent()) !== before, 'another look')
        expect(await started.count()).toBe(1)
        const overflow = await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth')
        expect(overflow).toBeLessThanOrEqual(0)
        await picture(page, `migration-${width}-${colorScheme}`)
        expect(wrong.filter((text) => !/401/.test(text))).toEqual([])
        await page.context().close()
      }
    await writer.stop()
    const metrics = await fetch(`${url}metrics`, { headers: { authorization: `Bearer ${token}` } })
    const text = await metrics.text()
    expect(text.match(/^ferrite_migrate_shard_lag_bytes\{.*migration="shards"\} /gm)).toHaveLength(3)
    tool.child.kill('SIGINT')
    await tool.over
  })
})

describe('the files of the dashboard', () => {
  it('name nobody else, and have no code in the page', () => {
    const page = readFileSync(resolve(import.meta.dirname, '../../dashboard/dist/index.html'), 'utf8')
    expect(page).not.toMatch(/https?:\/\//)
    expect(page).not.toMatch(/<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=/)
  })
})
