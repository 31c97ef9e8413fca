// What is run in a project that has installed the program: it is a library too.
import { defaultRegistry } from 'ferrite-migrate'

console.log(defaultRegistry().plugins.length > 5)
