// The operations that the page sends, from src/api/operations.graphql, as the texts that it sends them in.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parse, print, specifiedRules, validate, visit } from 'graphql';

const source = new URL('../src/api/operations.graphql', import.meta.url);

/** Fragments by their names, and operations. Those that the schema does not allow end the run. */
export function loadOperations(schema) {
  const document = parse(readFileSync(source, 'utf8'));
  const problems = validate(schema, document, specifiedRules);
  if (problems.length > 0) {
    for (const problem of problems) console.error(String(problem));
    process.exit(1);
  }
  const fragments = new Map();
  const operations = [];
  for (const definition of document.definitions) {
    if (definition.kind === 'FragmentDefinition') fragments.set(definition.name.value, definition);
    else operations.push(definition);
  }
  return { fragments, operations };
}

/** An operation with the fragments that it needs. */
export function text(operation, fragments) {
  const needed = new Set();
  const collect = (node) => visit(node, { FragmentSpread: (spread) => {
    if (needed.has(spread.name.value)) return;
    needed.add(spread.name.value);
    collect(fragments.get(spread.name.value));
  } });
  collect(operation);
  const used = [...fragments].filter(([name]) => needed.has(name)).map(([, fragment]) => fragment);
  return [operation, ...used].map(print).join('\n\n');
}

/** All of them as a manifest of persisted documents, for a server that runs nothing else. */
export function manifest(schema) {
  const { fragments, operations } = loadOperations(schema);
  const named = operations.map((operation) => text(operation, fragments))
    .map((document) => [`sha256:${createHash('sha256').update(document).digest('hex')}`, document]);
  return `${JSON.stringify(Object.fromEntries(named), null, 2)}\n`;
}
