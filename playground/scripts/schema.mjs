// The schema that the page is checked by: ../schema.graphql.
import { readFileSync } from 'node:fs';
import { buildSchema } from 'graphql';

export function loadSchema() {
  return buildSchema(readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8'));
}
