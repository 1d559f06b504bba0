// Checks the operations that the explorer offers, with their variables, by the schema.
import { readdirSync, readFileSync } from 'node:fs';
import { getOperationAST, getVariableValues, parse, validate } from 'graphql';
import { loadSchema } from './schema.mjs';

const folder = new URL('../src/explorer/operations/', import.meta.url);
const schema = loadSchema();
const names = readdirSync(folder);
const problems = [];
for (const name of names.filter((name) => name.endsWith('.graphql'))) {
  const text = readFileSync(new URL(name, folder), 'utf8');
  if (!/^# [^/\n]+ \/ [^/\n]+\n/.test(text)) problems.push(`${name}: the first line is "# Group / Title"`);
  const document = parse(text);
  problems.push(...validate(schema, document).map((problem) => `${name}: ${problem.message}`));
  const operation = getOperationAST(document);
  const json = name.replace(/\.graphql$/, '.json');
  const variables = names.includes(json) ? JSON.parse(readFileSync(new URL(json, folder), 'utf8')) : {};
  const { errors } = getVariableValues(schema, operation.variableDefinitions ?? [], variables);
  problems.push(...(errors ?? []).map((problem) => `${json}: ${problem.message}`));
}
for (const problem of problems) console.error(problem);
process.exit(problems.length > 0 ? 1 : 0);
