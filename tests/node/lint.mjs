// Lints a schema by the recommended and the Relay rules of @graphql-eslint.
//   node lint.mjs SCHEMA.graphql
// Prints what is wrong, a line for each finding, and ends with 1 if there is any.

import { dirname, resolve } from 'node:path'
import { readFileSync } from 'node:fs'
import { ESLint } from 'eslint'
import plugin from '@graphql-eslint/eslint-plugin'

const rules = {
  ...plugin.configs['flat/schema-recommended'].rules,
  ...plugin.configs['flat/schema-relay'].rules,

  '@graphql-eslint/relay-edge-types': [
    'error',
    {
      withEdgeSuffix: true,
      shouldImplementNode: false, // of what is listed, SecretId and SecretVersion are found by names of their own
      listTypeCanWrapOnlyEdgeType: false, // `nodes` beside `edges`, and bounded lists such as the names of policies
    },
  ],

  '@graphql-eslint/strict-id-in-types': [
    'error',
    {
      acceptedIdNames: ['id'],
      acceptedIdTypes: ['ID'],
      exceptions: {
        // answers to one request: nobody can ask for them again
        suffixes: ['Connection', 'Edge', 'Payload'],
        types: [
          // answers to one question likewise
          'AccessExplanation',
          'AuditVerification',
          'Caller',
          'PageInfo',
          // what a subscription tells once
          'LeaseChange',
          'SecretChange',
          // states, of which the server has one
          'AuditCheckpoint',
          'RekeyStatus',
          'SealStatus',
          // parts of something that has an id
          'EngineDrift',
          'EngineHealth',
          'SecretAccount',
          'SecretRotation',
          // found by a name, a number or an accessor
          'EnginePlugin',
          'SecretId',
          'SecretVersion',
        ],
      },
    },
  ],
}

// Findings that stay, each with its reason. One that is not found any more is to be taken out of this list.
const accepted = new Map([
  // `id` is the id among all nodes, so what stands in other systems and in mutations needs a name of its own
  ['@graphql-eslint/no-typename-prefix Lease.leaseId', 'the UUID, beside the id among all nodes'],
  ['@graphql-eslint/no-typename-prefix Role.roleId', 'RoleID is the name of what an AppRole logs in by'],
  ['@graphql-eslint/no-typename-prefix Enrollment.enrollmentId', 'the UUID, as mutations take it'],
  ['@graphql-eslint/no-typename-prefix Certificate.certificatePem', 'beside chainPem and privateKeyPem'],
])

// The rule, and the type or `Type.field` that a finding is about.
function place(message) {
  const names = [...message.message.matchAll(/["`]([A-Za-z_]+)["`]/g)].map(([, name]) => name)
  const about = message.ruleId.endsWith('no-typename-prefix') ? `${names[1]}.${names[0]}` : names[0]
  return `${message.ruleId} ${about}`
}

const schema = resolve(process.argv[2])
const eslint = new ESLint({
  cwd: dirname(schema),
  overrideConfigFile: true,
  overrideConfig: [
    {
      files: ['**/*.graphql'],
      plugins: { '@graphql-eslint': plugin },
      // the text itself: the parser reads what `schema` names as a pattern of files otherwise
      languageOptions: {
        parser: plugin.parser,
        parserOptions: { graphQLConfig: { schema: readFileSync(schema, 'utf8') } },
      },
      rules,
    },
  ],
})
const messages = (await eslint.lintFiles([schema])).flatMap((file) => file.messages)
const unused = new Set(accepted.keys())
let wrong = 0
for (const message of messages) {
  if (message.ruleId && accepted.has(place(message))) {
    unused.delete(place(message))
    continue
  }
  wrong += 1
  console.log(`${message.line}: ${message.message.replaceAll('\n', ' ')} (${message.ruleId})`)
}
for (const entry of unused) {
  wrong += 1
  console.log(`accepted but not found: ${entry}`)
}
console.log(`${wrong} findings, ${Object.keys(rules).length} rules`)
process.exitCode = wrong === 0 ? 0 : 1
