import { defineConfig } from 'vite';
import { licenses } from './scripts/licenses.mjs';

// While the page is worked on, `npm run dev` serves it and passes the API on to a server of one's own.
const server = process.env.SECRETHUB_ADDR ?? 'http://127.0.0.1:8200';

export default defineConfig({
  base: './',
  build: {
    outDir: 'build',
    assetsDir: 'assets',
    target: 'es2022',
    // the policy of the page allows no data: URL but for images
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 6000,
    // "use client" of React's libraries means nothing here
    rolldownOptions: { checks: { moduleLevelDirective: false } },
  },
  plugins: [licenses({ write: true })],
  worker: { format: 'es', plugins: () => [licenses({ write: false })] },
  // the server talks to pages of its own origin only
  server: { proxy: { '/graphql': { target: server, ws: true, changeOrigin: true, rewriteWsOrigin: true, headers: { origin: new URL(server).origin } } } },
});
