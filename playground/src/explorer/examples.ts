/** An operation that the explorer offers: from the files in operations/, in the order of their names. */
export type Example = { id: string; group: string; title: string; query: string; variables: string };

const queries = import.meta.glob<string>('./operations/*.graphql', { query: '?raw', import: 'default', eager: true });
const variables = import.meta.glob<string>('./operations/*.json', { query: '?raw', import: 'default', eager: true });

export const EXAMPLES: Example[] = Object.keys(queries).sort().map((file) => {
  const text = queries[file] ?? '';
  const [head = '', ...rest] = text.split('\n');
  const [group = '', title = ''] = head.replace(/^# /, '').split(' / ');
  return { id: file, group, title, query: rest.join('\n').trimEnd(), variables: (variables[file.replace(/\.graphql$/, '.json')] ?? '').trimEnd() };
});
