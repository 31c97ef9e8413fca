export { redactUrl } from '@ferrite-migrate/contracts'
