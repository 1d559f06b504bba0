// Turns what Vite built (build/) into what the server embeds (dist/): each file compressed with brotli, and files.rs, the
// table that src/http/playground.rs includes; and documents.json, the operations that the page sends.
//   node scripts/pack.mjs           writes dist/
//   node scripts/pack.mjs --check   fails if dist/ holds anything else than what was built
// The check compares what is in the compressed files: versions of brotli may compress differently.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { extname } from 'node:path';
import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import { manifest } from './documents.mjs';
import { loadSchema } from './schema.mjs';

const build = new URL('../build/', import.meta.url);
const dist = new URL('../dist/', import.meta.url);
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.ttf': 'font/ttf',
  '.txt': 'text/plain; charset=utf-8',
};

const list = (folder) => readdirSync(folder, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => `${entry.parentPath}/${entry.name}`.slice(folder.pathname.length).replace(/^\/+/, ''))
  .sort();

const files = list(build).map((name) => {
  const type = TYPES[extname(name)];
  if (!type) throw new Error(`scripts/pack.mjs has no content type for ${name}`);
  return { name, type, bytes: readFileSync(new URL(name, build)) };
});

const table = [
  '// Written by playground/scripts/pack.mjs.',
  '[',
  ...files.map(({ name, type }) => `    file("/${name === 'index.html' ? '' : name}", "${type}", include_bytes!("${name}.br")),`),
  ']',
  '',
].join('\n');

/** What is not compressed, by name. */
const plain = new Map([['files.rs', table], ['documents.json', manifest(loadSchema())]]);

function compress({ name, bytes }) {
  return brotliCompressSync(bytes, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
      [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
      [constants.BROTLI_PARAM_MODE]: /\.ttf$/.test(name) ? constants.BROTLI_MODE_FONT : constants.BROTLI_MODE_TEXT,
    },
  });
}

function differences() {
  const found = [];
  const there = list(dist);
  const wanted = [...plain.keys(), ...files.map(({ name }) => `${name}.br`)].sort();
  found.push(...wanted.filter((name) => !there.includes(name)).map((name) => `${name} is missing`));
  found.push(...there.filter((name) => !wanted.includes(name)).map((name) => `${name} was not built`));
  for (const [name, content] of plain) {
    if (there.includes(name) && readFileSync(new URL(name, dist), 'utf8') !== content) found.push(`${name} differs`);
  }
  for (const { name, bytes } of files) {
    if (there.includes(`${name}.br`) && !brotliDecompressSync(readFileSync(new URL(`${name}.br`, dist))).equals(bytes)) found.push(`${name}.br differs`);
  }
  return found;
}

if (process.argv.includes('--check')) {
  const found = differences();
  for (const line of found) console.error(`playground/dist: ${line}`);
  if (found.length > 0) {
    console.error('playground/dist is not what the sources give: run npm run build');
    process.exit(1);
  }
  console.log(`playground/dist is what the sources give: ${files.length} files`);
} else {
  rmSync(dist, { recursive: true, force: true });
  let total = 0;
  for (const file of files) {
    const packed = compress(file);
    const target = new URL(`${file.name}.br`, dist);
    mkdirSync(new URL('.', target), { recursive: true });
    writeFileSync(target, packed);
    total += packed.length;
  }
  for (const [name, content] of plain) writeFileSync(new URL(name, dist), content);
  console.log(`playground/dist: ${files.length} files, ${total} bytes`);
}
