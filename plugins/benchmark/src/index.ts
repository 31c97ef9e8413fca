export {
  type BenchmarkOptions,
  type BenchmarkReport,
  type CommandResult,
  runBenchmark,
  type SideResult,
} from './benchmark.js'
export { COMMANDS } from './commands.js'
