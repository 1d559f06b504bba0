// Holds the server's validation against that of graphql-js: of each document here both say the same, whether it may run.
// Those that they judge differently are below, each with the reason; one on which they agree must not be among them.
import { readFileSync } from 'node:fs';
import { buildSchema, getIntrospectionQuery, isNonNullType, parse, typeFromAST, validate } from 'graphql';
import { assert, token, url } from './check.mjs';

const schema = buildSchema(readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8'));

const secrets = (argument) => `{ secrets(${argument}) { nodes { path } } }`;
const leases = (filter) => `{ leases(filter: ${filter}) { nodes { leaseId } } }`;
const explain = (as) => `{ explainAccess(input: {as: ${as}, operation: READ, path: "a.b"}) { allowed } }`;
const data = (value) => `mutation { putSecret(input: {path: "a.b", data: ${value}}) { secret { path } } }`;
const node = (fragments) => `{ node(id: "policy:0190163d-8694-739b-aea5-966c26f8ad91") { ${fragments} } }`;
const me = (fields) => `{ me { ${fields} } }`;
const using = (variables, query) => `query(${variables}) ${query}`;

const skipped = using('$a: Boolean!', me('displayName __typename @skip(if: $a)'));
const mixed = node('... on Secret { x: version } ... on Policy { x: __typename }');
const beside = 'query A($a: Int) { secrets(first: $a) { nodes { path } } } query B { nope }';

const documents = [
  // variables in allowed positions
  ...['Int', 'Int!', 'Int = 1', 'Int! = 1', 'String', '[Int]', 'BigInt', 'Int = "x"', 'Int! = null', 'Nope', 'Caller'].map(
    (type) => using(`$a: ${type}`, secrets('first: $a')),
  ),
  ...['SecretPath!', 'SecretPath', 'SecretPath = "a.b"', 'SecretPath = null', 'String!'].map(
    (type) => using(`$a: ${type}`, '{ secret(path: $a) { path } }'),
  ),
  ...['SecretType', 'SecretType!', 'String', '[SecretType]'].map((type) => using(`$a: ${type}`, secrets('type: $a'))),
  ...['[LeaseState!]', '[LeaseState]', '[LeaseState!]!', 'LeaseState!', 'LeaseState', '[[LeaseState!]]'].map(
    (type) => using(`$a: ${type}`, leases('{states: $a}')),
  ),
  ...['LeaseState!', 'LeaseState', 'LeaseState = ACTIVE', '[LeaseState!]', 'String!'].map(
    (type) => using(`$a: ${type}`, leases('{states: [REVOKED, $a]}')),
  ),
  ...['LeaseFilter', 'LeaseFilter!', 'LeaseFilter = {nope: 1}', 'LeaseFilter = {states: ACTIVE}', 'LeaseFilter = {states: "ACTIVE"}', 'String'].map(
    (type) => using(`$a: ${type}`, leases('$a')),
  ),
  ...['String!', 'String', 'String = "x"', 'Int!'].map((type) => using(`$a: ${type}`, explain('{roleName: $a}'))),
  ...['Boolean!', 'Boolean', 'Boolean = true', 'Boolean = null', 'String!', 'Int!'].flatMap((type) => [
    using(`$a: ${type}`, me('displayName @skip(if: $a)')),
    using(`$a: ${type}`, me('... @include(if: $a) { displayName }')),
    using(`$a: ${type}`, '{ me { ...F @skip(if: $a) } } fragment F on Caller { displayName }'),
  ]),
  using('$a: Boolean', '{ __type(name: "Secret") { fields(includeDeprecated: $a) { name } } }'),
  using('$a: Boolean!', '{ __type(name: "Secret") { fields(includeDeprecated: $a) { name } } }'),
  using('$a: String', '{ __type(name: $a) { name } }'),
  using('$a: String!', '{ __type(name: $a) { name } }'),
  skipped,
  using('$a: String!', me('displayName __typename @skip(if: $a)')),
  'mutation($a: Int) { putSecret(input: {path: "a.b", data: {a: $a, b: [$a]}}) { secret { path } } }',
  'mutation($a: JSON) { putSecret(input: {path: "a.b", data: $a}) { secret { path } } }',
  // in fragments they count for each operation that reaches them
  'query A($a: Int) { ...F } query B($a: String) { ...F } fragment F on Query { secrets(first: $a) { nodes { path } } }',
  'query A($a: Int) { ...F } query B($a: Int = 1) { ...F } fragment F on Query { secrets(first: $a) { nodes { path } } }',
  'query A { __typename } query B($a: String) { ...G } fragment G on Query { ...F } fragment F on Query { secrets(first: $a) { nodes { path } } }',
  'query A($a: Int) { ...F } query B { ...F } fragment F on Query { secrets(first: $a) { nodes { path } } }',
  'query A { __typename } query B($a: SecretPath) { secret(path: $a) { path } }',
  // defined, used, and of types that may be given
  'query($a: Int, $a: Int) { secrets(first: $a) { nodes { path } } }',
  'query($a: Int) { me { displayName } }',
  secrets('first: $a'),
  '{ __typename @skip(if: $a) }',
  'query($a: Int = $b, $b: Int) { secrets(first: $a) { nodes { path } } }',
  data('{a: [$a]}'),

  // values of correct type
  ...['1', '0', '-1', '2147483647', '2147483648', '-2147483648', '-2147483649', '99999999999', '1.0', '1.5', '1e1', '"1"', 'true', 'null', '[1]', '{a: 1}', 'E'].map(
    (value) => secrets(`first: ${value}`),
  ),
  ...['STATIC', '"STATIC"', 'static', 'NOPE', '1', 'true', 'null', '[STATIC]', '{a: STATIC}'].map((value) => secrets(`type: ${value}`)),
  ...['"x"', '7', '99999999999', '1.5', 'X', 'true', 'null', '["x"]'].map((value) => `{ node(id: ${value}) { id } }`),
  ...[
    '{}', 'null', '"x"', '7', '[{}]', '[]', 'E', '{nope: 1}', '{engine: "a"}', '{engine: 7}', '{engine: E}', '{engine: null}', '{overdueOnly: true}',
    '{overdueOnly: "true"}', '{overdueOnly: 1}', '{states: ACTIVE}', '{states: [ACTIVE]}', '{states: ["ACTIVE"]}', '{states: "ACTIVE"}',
    '{states: [ACTIVE, null]}', '{states: [[ACTIVE]]}', '{states: []}', '{states: null}', '{states: [NOPE]}', '{engine: "a", engine: "b"}',
  ].map(leases),
  ...[
    '{policies: ["a"], roleName: "b"}', '{}', '{roleName: null}', '{roleName: "r"}', '{policies: ["root"]}', '{policies: "root"}', '{policies: [null]}',
    'null', '"x"', '{nope: 1}',
  ].map(explain),
  ...['{a: [1, 2.5, "x", E, null, true, 99999999999]}', '{}', 'null'].map(data),
  'mutation { putSecret(input: {path: "a.b"}) { secret { path } } }',
  'mutation { putSecret(input: null) { secret { path } } }',
  'mutation { putSecret { secret { path } } }',
  'query A { __typename } mutation B($d: JSON!) { putSecret(input: {data: $d}) { secret { path } } }',
  'query A { __typename } query B { leases(filter: {states: "ACTIVE"}) { nodes { leaseId } } }',
  me('displayName @skip(if: 1)'),
  me('displayName @skip(if: "true")'),
  me('displayName @skip(if: null)'),
  '{ secret { path } }',
  '{ secret(path: null) { path } }',
  '{ secret(path: "a.b", path: "a.b") { path } }',
  '{ secret(path: "a.b", x: 1) { path } }',
  '{ secret(path: """a.b""") { path } }',
  '{ secret(path: 7) { path } }',
  '{ verifyAudit(fromSequence: 1.5) { valid } }',

  // fields that merge
  me('displayName displayName'),
  me('x: displayName x: usesLeft'),
  me('displayName displayName: usesLeft'),
  me('x: displayName ... { x: displayName }'),
  me('x: displayName ... { x: entity }'),
  '{ me { ...A ...B } } fragment A on Caller { x: displayName } fragment B on Caller { x: usesLeft }',
  '{ me { ...A ...B } } fragment A on Caller { x: displayName } fragment B on Caller { x: displayName }',
  '{ x: me { displayName } ... on Query { x: sealStatus { sealed } } }',
  '{ me { x: displayName } ...F } fragment F on Query { me { x: entity } }',
  '{ secret(path: "a.b") { path } secret(path: "c.d") { path } }',
  '{ secret(path: "a.b") { path } secret(path: "a.b") { version } }',
  '{ secret(path: "a.b") { path } ...F } fragment F on Query { secret(path: "c.d") { path } }',
  '{ secret(path: "a.b") { data data(version: 1) } }',
  '{ secret(path: "a.b") { data(version: 1) ... on Secret { data(version: 2) } } }',
  leases('{engine: "a", states: ACTIVE}').replace(/}$/, leases('{states: ACTIVE, engine: "a"}').replace(/^{/, '')),
  node('... on Secret { x: path } ... on Policy { x: name }'),
  node('... on Secret { x: version } ... on Policy { x: name }'),
  node('... on Secret { x: createdBy } ... on Policy { x: name }'),
  node('... on Secret { x: createdAt } ... on Policy { x: createdAt }'),
  node('... on Secret { x: description } ... on Policy { x: description }'),
  node('... on Secret { x: type } ... on Policy { x: name }'),
  node('... on Secret { x: __typename } ... on Policy { x: name }'),
  mixed,
  node('... on Secret { ... { x: version } } ... on Policy { ... { ... on Policy { x: name } } }'),
  node('... on Secret { ... { x: description } } ... on Policy { ... { x: name } }'),
  node('... on Secret { x: engine { id } } ... on Policy { x: name }'),
  node('... on Role { x: policies } ... on Policy { x: name }'),
  node('... on Role { x: policies } ... on Token { x: policies }'),
  node('... on Role { x: secretIds { nodes { accessor } } } ... on Secret { x: versions { nodes { version } } }'),
  node('... on Role { x: secretIds(first: 1) { nodes { y: createdAt } } } ... on Secret { x: versions(first: 2) { nodes { y: createdAt } } }'),
  node('... on Role { x: secretIds { nodes { y: accessor } } } ... on Secret { x: versions { nodes { y: version } } }'),
  node('x: id ... on Secret { x: path }'),
  node('id ... on Secret { id } ... on Policy { id }'),
  `${node('...S ...P')} fragment S on Secret { x: version } fragment P on Policy { x: name }`,
  `${node('...S ...P')} fragment S on Secret { x: description } fragment P on Policy { x: description }`,
  '{ __schema { x: types { name } ...S } } fragment S on __Schema { x: queryType { name } }',
  'query A { __typename } query B { me { x: displayName ... on Caller { x: entity } } }',

  // what else there is to a document
  me('displayName @skip(if: true) @skip(if: true)'),
  me('displayName @skip'),
  me('displayName @nope'),
  me('displayName __typename @nope'),
  me('__typename(x: 1)'),
  me('__typename { x }'),
  me('__typename @skip'),
  me('displayName @deprecated'),
  me('displayName @specifiedBy(url: "x")'),
  me('nope'),
  '{ me }',
  me('displayName { x }'),
  me('displayName(x: 1)'),
  'query @skip(if: true) { me { displayName } }',
  'query($a: Int @skip(if: true)) { secrets(first: $a) { nodes { path } } }',
  'query($a: Int @nope) { secrets(first: $a) { nodes { path } } }',
  'fragment F on Caller @skip(if: true) { entity } query { me { ...F } }',
  'fragment on on Caller { entity } { me { ...on } }',
  'query on { me { displayName } }',
  '{ me { displayName } } fragment F on Caller { entity }',
  me('...F'),
  '{ me { ...F } } fragment F on Nope { entity }',
  '{ me { ...F } } fragment F on Secret { path }',
  '{ me { ...F } } fragment F on Caller { ...G } fragment G on Caller { ...F }',
  me('... on Secret { path }'),
  me('... on Node { id }'),
  node('... on Secret { path } ... on Caller { entity }'),
  node('path'),
  node('id __typename'),
  beside,
  'query A { __typename } query B { nope }',
  'query A { me { displayName } } query A { me { entity } }',
  '{ me { displayName } } query B { me { entity } }',
  'query Q { __typename } subscription S { sealStatusChanged { sealed } }',
  'query Q { __typename } subscription S { sealStatusChanged { sealed } secretChanged { path } }',
  'query Q { __typename } subscription S { __typename }',
  'query Q { __typename } subscription S($a: String!) { leaseChanged(after: $a) { cursor } }',
  'query Q { __typename } subscription S($a: Int) { leaseChanged(after: $a) { cursor } }',
  '{ __type { name } }',
  '{ __type(name: 7) { name } }',
  '{ __type(name: "Secret") { name } }',
  '{ __schema { nope } }',
  me('__schema { queryType { name } }'),
  me('displayName') + ' type Foo { a: Int }',
  getIntrospectionQuery(),
  getIntrospectionQuery({ descriptions: true, specifiedByUrl: true, directiveIsRepeatable: true, schemaDescription: true, inputValueDeprecation: true, oneOf: true }),
];

// The server takes what graphql-js refuses.
const taken = new Map([
  [using('$a: String = "x"', explain('{roleName: $a}')), 'the edition of September 2025 allows a variable with a default there, which keeps null away'],
  [beside, 'if the operation that runs leaves variables out, async-graphql does not see the others; the rules here do'],
]);

// The server refuses what graphql-js takes.
const refused = new Map([
  [skipped, 'async-graphql does not see variables in directives of __typename, and says that it is not used'],
  ['{ secret(path: 7) { path } }', 'the scalars of the schema say themselves what they take, and its text does not tell graphql-js'],
  [mixed, 'the specification has a type for __typename as well, String!, which graphql-js passes over'],
]);

// Something for a variable that must have a value, so that it is not that which is refused.
function value(definition) {
  const type = typeFromAST(schema, definition.type);
  if (!type || !isNonNullType(type) || definition.defaultValue) return undefined;
  const text = String(type);
  if (text.startsWith('[')) return [];
  return { 'Int!': 1, 'Boolean!': true, 'SecretType!': 'STATIC', 'LeaseState!': 'ACTIVE', 'LeaseFilter!': {}, 'JSON!': {} }[text] ?? 'a.b';
}

function judgedByGraphqlJs(query) {
  try {
    const document = parse(query);
    const operation = document.definitions.find((definition) => definition.kind === 'OperationDefinition');
    const variables = Object.fromEntries(operation.variableDefinitions.map((it) => [it.variable.name.value, value(it)]));
    return { name: operation.name?.value, variables, errors: validate(schema, document).map((error) => error.message) };
  } catch (error) {
    return { variables: {}, errors: [error.message] };
  }
}

const wrong = [];
for (const query of documents) {
  const { name, variables, errors } = judgedByGraphqlJs(query);
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, operationName: name, variables }),
  });
  const body = await answer.json();
  // what is not valid is not executed at all
  const ran = 'data' in body;
  assert.equal(answer.status, ran ? 200 : 400, `${query}: ${JSON.stringify(body)}`);
  if (!ran) assert.equal(body.errors[0].extensions.code, 'BAD_USER_INPUT', `${query}: ${JSON.stringify(body)}`);
  const said = ran ? 'runs' : body.errors[0].message;
  const expected = taken.has(query) || refused.has(query) ? errors.length > 0 : errors.length === 0;
  if (ran !== expected) {
    wrong.push(`${query}\n  graphql-js: ${errors.join(' | ') || 'valid'}\n  here: ${said}`);
  }
}
for (const query of [...taken.keys(), ...refused.keys()]) assert.ok(documents.includes(query), query);
console.log(`${documents.length} documents, ${wrong.length} judged in another way than they should be`);
console.log(wrong.join('\n'));
assert.deepEqual(wrong, []);
