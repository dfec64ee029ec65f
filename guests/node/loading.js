'use strict';
// Makes a program out of its source: one text in any of its forms, or a folder with its packages.
//
//   const { call, receiver } = await load(header, source);      // docs/functions/nodejs.md has the forms

const fs = require('fs');
const vm = require('vm');
const nodeModule = require('module');
const { join } = require('path');
const { pathToFileURL } = require('url');
const { isModuleNamespaceObject } = require('util').types;
const { useFolder } = require('./failures.js');
const { apply, stringify, StringOriginal } = require('./originals.js');
const { ownKeys } = Reflect;

// The program is at fault, not the harness; `about` is what failures.js makes of it, where its place is known.
class LoadError extends Error {}
const builtins = new Set(nodeModule.builtinModules);
const harnessRequire = require;

function isBuiltin(name) {
  return typeof name === 'string' &&
      (name.startsWith('node:') ? nodeModule.isBuiltin?.(name) ?? true : builtins.has(name));
}

function missing(name, code) {
  const error = new Error(`Cannot find module '${StringOriginal(name)}': a function may use the modules that come with Node, and no others`);
  error.code = code;
  return error;
}

function programRequire(name) {
  if (isBuiltin(name)) return harnessRequire(name);
  throw missing(name, 'MODULE_NOT_FOUND');
}
programRequire.resolve = (name) => {
  if (isBuiltin(name)) return name;
  throw missing(name, 'MODULE_NOT_FOUND');
};
programRequire.cache = Object.create(null);
programRequire.main = undefined;  // so that `require.main === module` is false

async function importBuiltin(name) {
  if (isBuiltin(name)) return import(name);
  throw missing(name, 'ERR_MODULE_NOT_FOUND');
}

// Compiles statements as the body of a function; nothing in front of the first line moves a column.
const compile = (source, parameters, lineOffset = 0) =>
    vm.compileFunction(source, parameters, { filename: 'function.js', lineOffset, importModuleDynamically: importBuiltin });
const compileBody = (source) => compile(`return async (event) => {\n${source}\n};`, ['require'], -1);

function attempt(make) {
  try {
    return { made: make() };
  } catch (error) {
    return { error };
  }
}

// {line, column} that the head of a syntax error's stack shows: "function.js:3\n<source>\n   ^^^".
function placeOf(error) {
  const lines = String(error.stack).split('\n');
  const head = /^function\.m?js:(\d+)$/.exec(lines[0]);
  if (!head) return { line: 0, column: 0 };
  const caret = (lines[2] ?? '').indexOf('^');
  return { line: +head[1], column: caret < 0 ? 0 : caret + 1 };
}

// V8 shows no place for a module's syntax errors. The same text without its imports and exports,
// blanks in their stead, fails in the same place as the body of a function.
function placeInModule(source, error) {
  const blank = (text) => text.replace(/[^\n]/g, ' ');
  const plain = source
      .replace(/^[ \t]*import\b(?!\s*[(.])[^'"`;]*?(['"])[^'"\n]*\1[ \t]*;?/gm, blank)
      .replace(/^([ \t]*)export\s+(?:default\b|(?=(?:async|function|class|const|let|var)\b))/gm, blank)
      .replace(/\bimport\.meta\b/g, '({}).meta ');
  const { error: same } = attempt(() => compileBody(plain));
  return same && same.message === error.message ? placeOf(same) : { line: 0, column: 0 };
}

function syntaxError(error, place, source) {
  const about = { __proto__: null, type: error.name, message: error.message, ...place, stack: '' };
  const text = source.split('\n')[about.line - 1] ?? '';
  about.stack = `${error.name}: ${error.message}`;
  if (about.line > 0) about.stack += `\n    at function.js:${about.line}${about.column ? ':' + about.column : ''}\n${text}`;
  const failure = new LoadError(error.message);
  failure.about = about;
  return failure;
}

// Which form a source has is what V8 accepts, asked in this order: a script without `return` at its
// top that speaks of exports is a module; what compiles as the body of an async function is a body;
// the rest is an ES module or wrong.
function detect(source) {
  const script = attempt(() => new vm.Script(source, { filename: 'function.js' }));
  if (!script.error && mentionsExports(source)) return { form: 'module' };
  const body = attempt(() => compileBody(source));
  if (!body.error) return { form: 'body', make: body.made };
  const meantModule = /import statement|'export'|import\.meta/.test(body.error.message);
  const esModule = attempt(() => makeModule(source));
  if (!esModule.error) return { form: 'es module', module: esModule.made };
  if (meantModule) throw syntaxError(esModule.error, placeInModule(source, esModule.error), source);
  const lines = source.split('\n');
  let error = body.error, place = placeOf(error);
  if (place.line > lines.length) {  // where our closing brace is: the source ends too early or too late
    const alone = attempt(() => compile(source, ['require'])).error;
    if (alone && !/await/.test(alone.message)) {
      error = alone;
      place = placeOf(alone);
    }
  }
  if (place.line === 0 || place.column === 0 || place.line > lines.length) {
    place = { line: lines.length, column: lines[lines.length - 1].length + 1 };
  }
  throw syntaxError(error, place, source);
}

// Comments and strings do not count; a wrong guess of what is a string costs a helpful message only.
function mentionsExports(source) {
  const code = source.replace(/\/\*[^]*?\*\/|\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g, ' ');
  return /\bexports\b/.test(code);
}

function makeModule(source) {
  if (!vm.SourceTextModule) throw new LoadError('ES modules need node --experimental-vm-modules');
  const { emitWarning } = process;
  process.emitWarning = () => {};  // "VM Modules is an experimental feature"
  try {
    return new vm.SourceTextModule(source, {
      identifier: 'function.mjs',
      importModuleDynamically: importBuiltin,
      initializeImportMeta: (meta) => { meta.url = 'file:///function.mjs'; },
    });
  } finally {
    process.emitWarning = emitWarning;
  }
}

async function linkBuiltin(name, referencing) {
  const namespace = await importBuiltin(name);
  const names = Object.keys(namespace);
  return new vm.SyntheticModule(names, function () {
    for (const key of names) this.setExport(key, namespace[key]);
  }, { identifier: name, context: referencing.context });
}

async function exportsOfModule(module) {
  await module.link(linkBuiltin);
  await module.evaluate();
  return module.namespace;
}

function exportsOfCommonJs(source) {
  const module = { exports: {}, id: 'function.js', filename: 'function.js', loaded: false, children: [], paths: [], require: programRequire };
  const run = compile(source, ['exports', 'require', 'module', '__filename', '__dirname']);
  apply(run, module.exports, [module.exports, programRequire, module, 'function.js', '/']);
  module.loaded = true;
  return module.exports;
}

const isObject = (value) => (typeof value === 'object' && value !== null) || typeof value === 'function';

// {call, receiver}: what a call runs. Order: the entry; else the default export or module.exports
// itself; else its `handler`; else its `default` (what compilers from TypeScript write).
function pick(exported, entry, form) {
  if (entry !== '') {
    const named = isObject(exported) ? exported[entry] : undefined;
    if (typeof named === 'function') return { call: named, receiver: exported };
    const names = isObject(exported) ? ownKeys(exported).filter((key) => typeof key === 'string' && typeof exported[key] === 'function') : [];
    throw new LoadError(`the entry ${stringify(entry)} is not a function that the script exports; it exports ${names.length ? names.join(', ') : 'none'}`);
  }
  if (form === 'module' && typeof exported === 'function') return { call: exported, receiver: undefined };
  if (isObject(exported)) {
    for (const name of form === 'module' ? ['handler', 'default'] : ['default', 'handler']) {
      if (typeof exported[name] === 'function') return { call: exported[name], receiver: exported };
    }
    if (isObject(exported.default) && typeof exported.default.handler === 'function') {
      return { call: exported.default.handler, receiver: exported.default };
    }
  }
  throw new LoadError(form === 'module'
    ? 'the script exports no function: assign one to module.exports, or end the script with a `return`'
    : 'the script has no default export that is a function: write `export default async (event) => …`');
}

// ---- Folders ----------------------------------------------------------------------------------

// The files that a program without an entry is looked for in, beside package.json's "main".
const kEntries = ['index.js', 'index.mjs', 'index.cjs'];

function isFile(path) {
  try {
    return fs.statSync(path).isFile();
  } catch {
    return false;
  }
}

function mainOf(folder) {
  try {
    const { main } = JSON.parse(fs.readFileSync(`${folder}/package.json`, 'utf8'));
    return typeof main === 'string' ? main : undefined;
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw new LoadError(`package.json cannot be read: ${error.message}`);
  }
}

// {file, name} of "lib/app.js:handle": a file below the folder, and what it exports.
function entryOf(folder, entry) {
  const colon = entry.lastIndexOf(':');
  const name = colon < 0 ? '' : entry.slice(colon + 1);
  let file = colon < 0 ? entry : entry.slice(0, colon);
  if (file === '') file = mainOf(folder) ?? kEntries.find((each) => isFile(`${folder}/${each}`)) ?? '';
  if (file === '') {
    throw new LoadError(`the archive holds no ${kEntries.join(', ')} at its top and its package.json names no "main": name the file in "entry"`);
  }
  const path = join(folder, file);
  if (!path.startsWith(folder + '/')) throw new LoadError(`the entry ${stringify(entry)} leads out of the archive`);
  const found = [path, path + '.js', path + '/index.js'].find(isFile);
  if (found === undefined) throw new LoadError(`the archive holds no ${stringify(file)}, which its entry names`);
  return { file: found, name };
}

// The files are loaded by Node's own loaders, with node_modules beside them and "type" as their
// package.json says.
async function loadFolder(folder, entry) {
  const { file, name } = entryOf(folder, entry);
  useFolder(folder);
  process.argv[1] = file;
  let exported;
  try {
    exported = nodeModule.createRequire(file)(file);
  } catch (error) {
    if (error?.code !== 'ERR_REQUIRE_ESM' && error?.code !== 'ERR_REQUIRE_ASYNC_MODULE') throw error;
    exported = await import(pathToFileURL(file));
  }
  return pick(exported, name, isModuleNamespaceObject(exported) ? 'es module' : 'module');
}

// {call, receiver} of a LOAD frame's header and source.
// errors    LoadError, or whatever the program throws while it is loaded
async function load(header, source) {
  for (const [name, value] of Object.entries(header.environment ?? {})) process.env[name] = value;
  const entry = header.entry ?? '';
  if (header.folder !== undefined) return loadFolder(header.folder, entry);
  if (source.charCodeAt(0) === 0xfeff) source = source.slice(1);
  if (source.startsWith('#!')) source = '//' + source.slice(2);
  const found = detect(source);
  if (found.form === 'body') {
    if (entry !== '') throw new LoadError(`the entry ${stringify(entry)} is not there: the script is the body of a function and exports nothing`);
    return { call: found.make(programRequire), receiver: undefined };
  }
  return pick(found.form === 'module' ? exportsOfCommonJs(source) : await exportsOfModule(found.module), entry, found.form);
}

module.exports = { load, LoadError };
