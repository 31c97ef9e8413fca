export { default } from '@ferrite-migrate/cli/help'
