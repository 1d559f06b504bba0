// The schema that the page is checked by: ../schema.graphql.
import { readFileSync } from 'node:fs';
import { buildSchema, extendSchema, parse } from 'graphql';

const read = (path) => readFileSync(new URL(path, import.meta.url), 'utf8');

export function loadSchema() {
  const schema = buildSchema(read('../../schema.graphql'));
  if (schema.getSubscriptionType()) return schema;
  return extendSchema(schema, parse(read('../src/api/subscriptions.graphql') + '\nextend schema { subscription: Subscription }'));
}
