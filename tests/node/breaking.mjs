// Compares two schemas, as @graphql-inspector does.
//   node breaking.mjs RELEASED.graphql SCHEMA.graphql
// Prints what changed in a way that clients notice, and ends with 1 if a change breaks one.

import { readFileSync } from 'node:fs'
import { buildSchema } from 'graphql'
import { CriticalityLevel, diff } from '@graphql-inspector/core'

const [released, current] = process.argv.slice(2, 4).map((file) => buildSchema(readFileSync(file, 'utf8')))
const changes = await diff(released, current)
let broken = 0
for (const { criticality, message, path } of changes) {
  if (criticality.level === CriticalityLevel.NonBreaking) continue
  broken += criticality.level === CriticalityLevel.Breaking ? 1 : 0
  console.log(`${criticality.level}: ${message} (${path})`)
}
console.log(`${broken} breaking of ${changes.length} changes`)
process.exitCode = broken === 0 ? 0 : 1
