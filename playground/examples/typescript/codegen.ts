import type { CodegenConfig } from '@graphql-codegen/cli'

const types = {
  enumsAsTypes: true,
  useTypeImports: true,
  emitLegacyCommonJSImports: false,
  strictScalars: true,
  scalars: {
    // sequence numbers are beyond what a number holds exactly
    BigInt: { input: 'string | number', output: 'string' },
    DateTime: 'string',
    JSON: 'unknown',
    SecretPath: 'string',
  },
}

const config: CodegenConfig = {
  // of a release; `secrethub schema` prints that of your server
  schema: '../../../schema.graphql',
  documents: ['src/**/*.ts', '!src/gql/**'],
  generates: {
    './src/gql/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      // documents stay texts: nothing of GraphQL is needed at run time
      config: { ...types, documentMode: 'string' },
    },
    // the codes of errors, which no operation names
    './src/gql/schema.ts': { plugins: ['typescript'], config: types },
  },
}

export default config
