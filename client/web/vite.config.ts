import react from '@vitejs/plugin-react';
import { readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

const outDir = fileURLToPath(new URL('./dist', import.meta.url));

/** Empties dist except .gitkeep: the Go embed needs the folder to exist in a fresh clone. */
function emptyDist(): Plugin {
  return {
    name: 'empty-dist',
    apply: 'build',
    buildStart() {
      for (const entry of readdirSync(outDir)) {
        if (entry !== '.gitkeep') rmSync(`${outDir}/${entry}`, { recursive: true });
      }
    },
  };
}

/** Writes a .gz beside every text asset that gets clearly smaller, for the server to hand out as it is. */
function precompress(): Plugin {
  return {
    name: 'precompress',
    apply: 'build',
    generateBundle: {
      order: 'post',
      handler(_options, bundle) {
        for (const file of Object.values(bundle)) {
          if (!/\.(js|css|svg)$/.test(file.fileName)) continue;
          const source = Buffer.from(file.type === 'chunk' ? file.code : file.source);
          if (source.length < 1024) continue;
          this.emitFile({ type: 'asset', fileName: `${file.fileName}.gz`, source: gzipSync(source, { level: 9 }) });
        }
      },
    },
  };
}

export default defineConfig({
  plugins: [react(), emptyDist(), precompress()],
  build: {
    outDir,
    emptyOutDir: false,
    target: ['chrome109', 'firefox115', 'safari16'],
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900,
    rolldownOptions: {
      output: {
        // The media SDK changes less often than our code: its own file stays in caches.
        manualChunks: (id: string) => (id.includes('node_modules/livekit-client') ? 'livekit' : undefined),
      },
    },
  },
  server: {
    proxy: {
      '/rtc': { target: 'http://127.0.0.1:7880', ws: true },
      '/api': 'http://127.0.0.1:7880',
    },
  },
  test: {
    // Pure code is tested without a document; a test that needs one asks for it in its first line.
    environment: 'node',
    isolate: false,
    maxWorkers: 1,
    // Typing into a form takes seconds where the processors are busy with browsers and load.
    testTimeout: 30_000,
    include: ['src/**/*.test.{ts,tsx}'],
    setupFiles: ['src/testSetup.ts'],
  },
});
