/**
 * Programs made of our sources, run by a node process of their own: for what only the end of a process can show.
 *
 * Compiles entry files and what they import, so that neither `dist/` nor a loader is needed.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type Finished, offExit, onExit, type ProcessOptions, run, start, type TestProcess } from './process.ts';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

export class Compiled {
  readonly #folder: string;
  #programs = 0;

  private constructor(folder: string) {
    this.#folder = folder;
    onExit(this, () => rmSync(folder, { recursive: true, force: true }));
  }

  /** Entries relative to the root, `src/runtime/index.ts`. */
  static async of(...entries: readonly string[]): Promise<Compiled> {
    const folder = join(root, 'node_modules/.cache', `bulkhead-test-${process.pid}-${compilations++}`);
    const compiled = new Compiled(folder);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    const options = { outDir: join(folder, 'dist'), declaration: false, declarationMap: false, sourceMap: false };
    const config = {
      extends: join(root, 'tsconfig.build.json'),
      compilerOptions: options,
      files: entries.map((entry) => join(root, entry)),
      include: [],
    };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const { code, stdout, stderr } = await run(process.execPath, [tsc, '-p', folder], { milliseconds: 60_000 });
    if (code !== 0) {
      compiled.remove();
      throw new Error(`${entries.join(', ')} does not compile:\n${stdout}${stderr}`);
    }
    return compiled;
  }

  /** Where a compiled source is, for those who import it or begin a worker with it: `src/runtime/worker/main.ts`. */
  url(source: string): URL {
    return pathToFileURL(join(this.#folder, 'dist', source.replace(/^src\/(.+)\.ts$/, '$1.js')));
  }

  /** Starts an ES module whose imports of `src/…` mean the compiled sources. */
  start(source: string, options: ProcessOptions = {}): TestProcess {
    return start(process.execPath, [this.#write(source)], options);
  }

  run(source: string, options: ProcessOptions & { readonly milliseconds?: number } = {}): Promise<Finished> {
    return run(process.execPath, [this.#write(source)], options);
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
    offExit(this);
  }

  #write(source: string): string {
    const file = join(this.#folder, `program-${this.#programs++}.js`);
    writeFileSync(file, source.replaceAll(/'src\/(.+?)\.ts'/g, `'./dist/$1.js'`));
    return file;
  }
}

let compilations = 0;
