export { Random } from '@ferrite-migrate/servers'
