export { createRunner } from './follow/bull-runner.js'
