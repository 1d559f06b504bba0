// Checks src/api/operations.graphql by the schema and writes src/api/operations.ts: each operation's text and types.
//   node scripts/operations.mjs           writes it
//   node scripts/operations.mjs --check   fails if it would differ
import { readFileSync, writeFileSync } from 'node:fs';
import { getNamedType, isEnumType, isInputObjectType, isListType, isNonNullType, isObjectType, isScalarType, typeFromAST } from 'graphql';
import { loadOperations, text } from './documents.mjs';
import { loadSchema } from './schema.mjs';

const target = new URL('../src/api/operations.ts', import.meta.url);
const SCALARS = { String: 'string', ID: 'string', Int: 'number', Float: 'number', Boolean: 'boolean', JSON: 'Json', BigInt: 'string', DateTime: 'string', SecretPath: 'string' };

const schema = loadSchema();
const { fragments, operations } = loadOperations(schema);
/** Enums and input objects that the operations mention, by name. */
const mentioned = new Map();

function leaf(type) {
  if (isScalarType(type)) {
    const name = SCALARS[type.name];
    if (!name) throw new Error(`scripts/operations.mjs has no type for the scalar ${type.name}`);
    return name;
  }
  mentioned.set(type.name, type);
  return type.name;
}

function wrap(type, inner) {
  if (isNonNullType(type)) return bare(type.ofType, inner);
  return `${bare(type, inner)} | null`;
}

function bare(type, inner) {
  if (!isListType(type)) return inner(getNamedType(type));
  const item = wrap(type.ofType, inner);
  return item.includes('|') ? `(${item})[]` : `${item}[]`;
}

/** The type of a selection; fragments are of the object's own type, as the schema has no unions here. */
function selection(type, set) {
  const fields = new Map();
  for (const item of set.selections) {
    if (item.kind === 'FragmentSpread') {
      fields.set(`...${item.name.value}`, item.name.value);
      continue;
    }
    if (item.kind !== 'Field') throw new Error('scripts/operations.mjs knows fields and named fragments only');
    const field = type.getFields()[item.name.value];
    const inner = (named) => (isObjectType(named) ? selection(named, item.selectionSet) : leaf(named));
    fields.set((item.alias ?? item.name).value, wrap(field.type, inner));
  }
  const spreads = [...fields].filter(([name]) => name.startsWith('...')).map(([, value]) => value);
  const own = [...fields].filter(([name]) => !name.startsWith('...')).map(([name, value]) => `${name}: ${value}`);
  return [...spreads, ...(own.length > 0 ? [`{ ${own.join('; ')} }`] : [])].join(' & ');
}

function input(type) {
  return isInputObjectType(type) || isEnumType(type) ? (mentioned.set(type.name, type), type.name) : leaf(type);
}

function variables(operation) {
  const parts = (operation.variableDefinitions ?? []).map((variable) => {
    const type = typeFromAST(schema, variable.type);
    return `${variable.variable.name.value}${isNonNullType(type) ? '' : '?'}: ${wrap(type, input)}`;
  });
  return parts.length > 0 ? `{ ${parts.join('; ')} }` : 'Record<string, never>';
}

const lines = [
  '// Written by scripts/operations.mjs from operations.graphql and schema.graphql: change those.',
  "import type { Json, Operation } from './operation';",
  '',
];
for (const [name, fragment] of fragments) {
  lines.push(`export type ${name} = ${selection(schema.getType(fragment.typeCondition.name.value), fragment.selectionSet)};`, '');
}
for (const operation of operations) {
  const name = operation.name.value;
  lines.push(`export type ${name}Data = ${selection(schema.getRootType(operation.operation), operation.selectionSet)};`);
  lines.push(`export type ${name}Variables = ${variables(operation)};`);
  lines.push(`export const ${name}: Operation<${name}Data, ${name}Variables> = {\n  name: '${name}',\n  text: \`${text(operation, fragments)}\`,\n};`, '');
}
for (const type of mentioned.values()) { // grows while it is walked: inputs mention others
  if (isEnumType(type)) {
    lines.push(`export type ${type.name} = ${type.getValues().map(({ name }) => `'${name}'`).join(' | ')};`, '');
  } else {
    const fields = Object.values(type.getFields()).map((field) => `  ${field.name}${isNonNullType(field.type) ? '' : '?'}: ${wrap(field.type, input)};`);
    lines.push(`export type ${type.name} = {`, ...fields, '};', '');
  }
}
const result = lines.join('\n');
if (process.argv.includes('--check')) {
  if (readFileSync(target, 'utf8') !== result) {
    console.error('src/api/operations.ts is not what operations.graphql and schema.graphql give: run npm run generate');
    process.exit(1);
  }
} else {
  writeFileSync(target, result);
}
