// A plugin for Vite: licenses.txt, with the licences of all packages of which something is in the page.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const used = new Map();

/** The package that a module is of: the nearest package.json above it that has a name and a version. */
function note(id) {
  const path = id.replace(/^\0/, '').replace(/[?#].*$/, '');
  if (!path.includes('/node_modules/')) return;
  for (let folder = dirname(path); folder.includes('/node_modules/'); folder = dirname(folder)) {
    if (!existsSync(join(folder, 'package.json'))) continue;
    const description = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    if (!description.name || !description.version) continue;
    used.set(`${description.name} ${description.version}`, { folder, license: description.license });
    return;
  }
}

function texts(folder) {
  const names = readdirSync(folder).filter((name) => /^(licen[cs]e|notice|thirdpartynotices)/i.test(name)).sort();
  return names.map((name) => readFileSync(join(folder, name), 'utf8').replaceAll('\r\n', '\n').trim());
}

/** For the page and for its workers, which are built on their own and before the page is finished. */
export function licenses({ write }) {
  return {
    name: 'licenses',
    generateBundle(_options, bundle) {
      for (const chunk of Object.values(bundle)) for (const id of chunk.moduleIds ?? []) note(id);
      if (!write) return;
      const parts = [...used].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, { folder, license }]) => {
        if (!license) throw new Error(`${name} does not say its licence`);
        return [`${name} (${license})`, ...texts(folder)].join('\n\n');
      });
      const head = 'The playground of SecretHub contains code of these packages.';
      this.emitFile({ type: 'asset', fileName: 'licenses.txt', source: [head, ...parts].join(`\n\n${'-'.repeat(80)}\n\n`) + '\n' });
    },
  };
}
