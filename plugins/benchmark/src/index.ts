export {
  type BenchmarkOptions,
  type BenchmarkReport,
  type CommandResult,
  runBenchmark,
  type SideResult,
} from './benchmark.js'
export { COMMANDS } from './commands.js'
export { type MeasuredEnd, type MeasuredServer, openMeasuredEnd } from './measured-end.js'
