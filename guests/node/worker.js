'use strict';
// The worker that runs one JavaScript program: it reads frames from descriptor 3, calls the
// function and writes the answer there (docs/worker-protocol.md). Started by the server as
//
//   node --experimental-vm-modules worker.js
//
// The flag is for ES modules; nothing else is needed. Node 18 and newer.
//
// Between calls the worker sleeps in a blocking read and no code of the function runs. A call is
// answered one turn of the event loop after its promise settled, so that a rejection nobody handled
// still fails the call it came from. Whatever an earlier call left behind (timers, promises) runs
// while a later call runs, can print into that call's log, and can never answer it.
//
// The function shares this process. Everything the harness needs is therefore taken before the
// program is loaded, so that a changed prototype or a replaced global breaks the program alone.

const fs = require('fs');
const vm = require('vm');
const util = require('util');
const nodeModule = require('module');
const { Writable } = require('stream');
const { performance } = require('perf_hooks');

const kSocket = 3;
const kLoad = 0x01, kCall = 0x02;
const kReady = 0x80, kLoaded = 0x81, kResult = 0x82, kFailure = 0x83, kLog = 0x84;
const kStdout = 0, kStderr = 1, kDroppedCount = 2;
const kLogTextBytesMax = 64 << 10;
const kLogFlushBytes = 16 << 10;    // a log this long is sent while the call still runs,
const kLogFlushMilliseconds = 50;   // and so is one this old
const kMessageBytesMax = 16 << 10;
const kStackBytesMax = 64 << 10;

const { readSync, writeSync } = fs;
const { parse, stringify } = JSON;
const { apply, defineProperty, ownKeys } = Reflect;
const { byteLength, allocUnsafeSlow, from: bufferFrom } = Buffer;
const { isUint8Array } = util.types;
const inspect = util.inspect;
const setImmediateOriginal = setImmediate;
const setTimeoutOriginal = setTimeout;
const dateNow = Date.now;
const StringOriginal = String;
const PromiseOriginal = Promise;
const exit = process.reallyExit.bind(process);
const uncurry = Function.prototype.bind.bind(Function.prototype.call);
const sliceText = uncurry(String.prototype.slice);
const indexOfText = uncurry(String.prototype.indexOf);
const splitText = uncurry(String.prototype.split);
const testPattern = (pattern, text) => apply(execPattern, pattern, [text]) !== null;
const execPattern = RegExp.prototype.exec;
const replaceText = String.prototype.replace;
const copyBytes = uncurry(Uint8Array.prototype.set);
const subarray = uncurry(Uint8Array.prototype.subarray);
const moveWithin = uncurry(Uint8Array.prototype.copyWithin);
const readText = uncurry(Buffer.prototype.utf8Slice);    // toString and write without the checks
const writeText = uncurry(Buffer.prototype.utf8Write);
// Buffer.from(text) looks methods up where the program can change them.
function encode(text) {
  const bytes = allocUnsafeSlow(byteLength(text));
  writeText(bytes, text, 0);
  return bytes;
}

// ---- The socket -------------------------------------------------------------------------------

const idle = new Int32Array(new SharedArrayBuffer(4));
const wait = Atomics.wait;

// Repeats an interrupted or refused system call; the socket blocks, unless somebody changed it.
function isTransient(error) {
  if (error.code === 'EINTR') return true;
  if (error.code !== 'EAGAIN') return false;
  wait(idle, 0, 0, 1);
  return true;
}

function readSome(buffer, offset, length) {
  for (;;) {
    try {
      const count = readSync(kSocket, buffer, offset, length);
      if (count === 0) exit(0);  // the server is done with this worker
      return count;
    } catch (error) {
      if (!isTransient(error)) exit(0);
    }
  }
}

function writeAll(buffer, offset, length) {
  while (length > 0) {
    try {
      const count = writeSync(kSocket, buffer, offset, length);
      offset += count;
      length -= count;
    } catch (error) {
      if (!isTransient(error)) exit(0);
    }
  }
}

let input = allocUnsafeSlow(64 << 10);
let inputStart = 0, inputEnd = 0;

const readU32 = (b, at) => (b[at] | b[at + 1] << 8 | b[at + 2] << 16 | b[at + 3] << 24) >>> 0;

// The next frame, {type, bytes, start, end}: its payload lies in bytes[start, end) until the next
// call of this function. One object is used again and again.
const frame = { type: 0, bytes: input, start: 0, end: 0 };
function readFrame() {
  if (inputStart === inputEnd) inputStart = inputEnd = 0;
  while (inputEnd - inputStart < 4) {
    if (inputStart > 0) {
      moveWithin(input, 0, inputStart, inputEnd);
      inputEnd -= inputStart;
      inputStart = 0;
    }
    inputEnd += readSome(input, inputEnd, input.length - inputEnd);
  }
  const length = readU32(input, inputStart);
  const have = inputEnd - inputStart - 4;
  inputStart += 4;
  if (have >= length) {
    frame.bytes = input;
    frame.start = inputStart + 1;
    frame.end = inputStart += length;
  } else if (inputStart + length <= input.length) {
    while (inputEnd - inputStart < length) inputEnd += readSome(input, inputEnd, input.length - inputEnd);
    frame.bytes = input;
    frame.start = inputStart + 1;
    frame.end = inputStart += length;
  } else {  // a buffer of its own, read straight into place and dropped after the call
    const large = allocUnsafeSlow(length);
    copyBytes(large, subarray(input, inputStart, inputEnd));
    let filled = inputEnd - inputStart;
    while (filled < length) filled += readSome(large, filled, length - filled);
    inputStart = inputEnd = 0;
    frame.bytes = large;
    frame.start = 1;
    frame.end = length;
  }
  frame.type = frame.bytes[frame.start - 1];
  return frame;
}

// Frames wait here until the call ends or enough of them are there, so that a call with a short log
// and a short result costs one write.
const output = allocUnsafeSlow(256 << 10);
let outputEnd = 0;

function flushOutput() {
  const length = outputEnd;
  outputEnd = 0;
  writeAll(output, 0, length);
}

function putHeader(length, type) {
  output[outputEnd] = length;
  output[outputEnd + 1] = length >>> 8;
  output[outputEnd + 2] = length >>> 16;
  output[outputEnd + 3] = length >>> 24;
  output[outputEnd + 4] = type;
  outputEnd += 5;
}

function putFrame(type, text) {
  if (text.length * 3 + 5 <= output.length - outputEnd) {
    const start = outputEnd;
    const length = writeText(output, text, start + 5);
    putHeader(length + 1, type);
    outputEnd = start + 5 + length;
    return;
  }
  if (outputEnd + 5 > output.length) flushOutput();
  const bytes = encode(text);
  putHeader(bytes.length + 1, type);
  flushOutput();
  writeAll(bytes, 0, bytes.length);
}

// ---- The log ----------------------------------------------------------------------------------

let active = false;       // a load or a call runs; what is printed outside is dropped
let logBytesMax = 256 << 10;
let logBytesLeft = 0;
let logBytesDropped = 0;
let logFrameStart = -1;   // of the kLog frame that is still growing at the end of `output`
let logStream = kStdout;
let logFlushedAt = 0;
let logTimerArmed = false;

function sealLog() {
  if (logFrameStart < 0) return;
  const end = outputEnd;
  outputEnd = logFrameStart;
  putHeader(end - logFrameStart - 4, kLog);
  output[outputEnd] = logStream;
  outputEnd = end;
  logFrameStart = -1;
}

function flushLog() {
  sealLog();
  if (outputEnd > 0) flushOutput();
  logFlushedAt = dateNow();
}

function onLogTimer() {
  logTimerArmed = false;
  if (active && logFrameStart >= 0) flushLog();
}

// Room for `length` bytes of `stream`'s text in the growing frame; length is at most 32 KiB.
function openLog(stream, length) {
  if (logFrameStart >= 0) {
    const text = outputEnd - logFrameStart - 6;
    if (logStream === stream && text + length <= kLogTextBytesMax && outputEnd + length <= output.length) return;
    sealLog();
  }
  if (outputEnd + 6 + length > output.length) flushOutput();
  logFrameStart = outputEnd;
  logStream = stream;
  outputEnd += 6;
  if (!logTimerArmed) {
    logTimerArmed = true;
    setTimeoutOriginal(onLogTimer, kLogFlushMilliseconds).unref();
  }
}

function logBytes(stream, bytes) {
  if (!active) return;
  let length = bytes.length;
  if (length > logBytesLeft) {
    logBytesDropped += length - logBytesLeft;
    length = logBytesLeft;
  }
  logBytesLeft -= length;
  for (let at = 0; at < length;) {
    const size = length - at < 32 << 10 ? length - at : 32 << 10;
    openLog(stream, size);
    copyBytes(output, subarray(bytes, at, at + size), outputEnd);
    outputEnd += size;
    at += size;
  }
  if (outputEnd >= kLogFlushBytes || dateNow() - logFlushedAt >= kLogFlushMilliseconds) flushLog();
}

function logText(stream, text) {
  if (!active) return;
  if (text.length <= 8 << 10 && text.length * 3 <= logBytesLeft) {
    openLog(stream, text.length * 3);
    const length = writeText(output, text, outputEnd);
    outputEnd += length;
    logBytesLeft -= length;
    if (outputEnd >= kLogFlushBytes || dateNow() - logFlushedAt >= kLogFlushMilliseconds) flushLog();
    return;
  }
  const total = byteLength(text, 'utf8');
  // A character has a byte at least: so much of the text is enough to fill what is left.
  const bytes = encode(sliceText(text, 0, logBytesLeft + 1));
  logBytesDropped += total - bytes.length;
  logBytes(stream, bytes);
}

function makeStream(stream, descriptor) {
  const write = (chunk, encoding) => {
    if (typeof chunk === 'string') {
      if (encoding === undefined || encoding === 'utf8' || encoding === 'utf-8') logText(stream, chunk);
      else logBytes(stream, bufferFrom(chunk, encoding));
    } else if (isUint8Array(chunk)) {
      logBytes(stream, chunk);
    } else {
      throw new TypeError('The "chunk" argument must be of type string or an instance of Buffer or Uint8Array.');
    }
  };
  const writable = new Writable({
    decodeStrings: false,
    write(chunk, encoding, done) { write(chunk, encoding); done(); },
  });
  // Straight to the log: the order of stdout and stderr is kept, and nothing is buffered twice.
  writable.write = function (chunk, encoding, done) {
    if (typeof encoding === 'function') { done = encoding; encoding = undefined; }
    write(chunk, encoding);
    if (typeof done === 'function') process.nextTick(done);
    return true;
  };
  writable.fd = descriptor;
  writable.isTTY = false;
  writable.destroy = function () { return this; };  // as Node's own: they cannot be closed
  writable.end = function (chunk) { if (chunk != null && typeof chunk !== 'function') write(chunk); return this; };
  writable._isStdio = true;
  return writable;
}
for (const [name, stream] of [['stdout', kStdout], ['stderr', kStderr]]) {
  const made = makeStream(stream, stream + 1);
  defineProperty(process, name, { get: () => made, configurable: true, enumerable: true });
}

// ---- Failures ---------------------------------------------------------------------------------

const ownFile = __filename;
let frameOfSource = /(?:^|[ (])function\.m?js:(\d+):(\d+)\)?$/;
let frameOfProgram = frameOfSource;  // and of what came with it
let headOfSource = null;             // what a syntax error's stack begins with, in a folder's file
let folderPrefix = null;
const frameOfNode = /node:(?:internal\/|vm:)/;
const frameLine = /^\s+at /;

// What a property of a thrown value says, if it can be asked at all.
function textOf(value, name) {
  try {
    const text = value[name];
    return typeof text === 'string' ? text : '';
  } catch {
    return '';
  }
}

function cut(text, bytesMax) {
  const bytes = encode(sliceText(text, 0, bytesMax));  // lone surrogates become U+FFFD
  if (bytes.length <= bytesMax) return readText(bytes, 0, bytes.length);
  let end = bytesMax;
  while (end > 0 && (bytes[end] & 0xc0) === 0x80) --end;
  return readText(bytes, 0, end);
}

// {type, message, line, column, stack} of anything that can be thrown.
function describe(thrown) {
  const about = { __proto__: null, type: '', message: '', line: 0, column: 0, stack: '' };
  if ((typeof thrown !== 'object' || thrown === null) && typeof thrown !== 'function') {
    about.type = thrown === null ? 'null' : typeof thrown;
    about.message = StringOriginal(thrown);
    return about;
  }
  about.type = textOf(thrown, 'name');
  if (about.type === 'Error' || about.type === '') {
    try {
      const name = thrown.constructor.name;
      if (typeof name === 'string' && name !== '') about.type = name;
    } catch { /* the name stays */ }
  }
  about.message = textOf(thrown, 'message');
  const stack = textOf(thrown, 'stack');
  if (about.message === '' && stack === '') {
    try {
      about.message = inspect(thrown, { customInspect: false, depth: 2, maxStringLength: 4096, maxArrayLength: 64 });
    } catch {
      about.message = 'an object that cannot be shown';
    }
  }
  readStack(about, stack);
  return about;
}

// Keeps the frames down to the outermost of the program's own, without the harness and Node's inside.
function readStack(about, stack) {
  const lines = splitText(sliceText(stack, 0, 1 << 20), '\n');
  let kept = '', lengthKept = 0, inFrames = false;
  for (let i = 0; i < lines.length; ++i) {
    const line = lines[i];
    const isFrame = testPattern(frameLine, line);
    inFrames ||= isFrame;
    if (isFrame && (indexOfText(line, ownFile) >= 0 || testPattern(frameOfNode, line))) continue;
    kept += i === 0 ? line : '\n' + line;
    const place = isFrame ? apply(execPattern, frameOfSource, [line])
      : i === 0 && headOfSource !== null ? apply(execPattern, headOfSource, [line]) : null;
    if (place !== null && about.line === 0) {
      about.line = +place[1];
      about.column = +(place[2] ?? 0);
    }
    if (place !== null || !inFrames || isFrame && testPattern(frameOfProgram, line)) lengthKept = kept.length;
  }
  about.stack = sliceText(kept, 0, lengthKept);
  if (folderPrefix !== null) about.stack = apply(replaceText, about.stack, [folderPrefix, '']);
}

// JSON of a failure frame. Only strings and numbers pass through stringify, which asks a primitive
// for no toJSON.
function failureText(kind, about) {
  let text = '{"kind":' + stringify(kind) + ',"type":' + stringify(cut(about.type, 256)) +
      ',"message":' + stringify(cut(about.message, kMessageBytesMax));
  if (about.line > 0) text += ',"line":' + about.line;
  if (about.line > 0 && about.column > 0) text += ',"column":' + about.column;
  let stack = cut(about.stack, kStackBytesMax);
  let quoted = stringify(stack);
  // A control character takes six bytes in JSON: a frame holds 256 KiB.
  while (byteLength(quoted) > 128 << 10) quoted = stringify(stack = sliceText(stack, 0, stack.length >> 1));
  return text + ',"stack":' + quoted + '}';
}

const failed = (kind, thrown) => failureText(kind, describe(thrown));
const failedWith = (kind, type, message) =>
    failureText(kind, { __proto__: null, type, message, line: 0, column: 0, stack: '' });

// ---- Loading ----------------------------------------------------------------------------------

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
  const path = require('path').join(folder, file);
  if (!path.startsWith(folder + '/')) throw new LoadError(`the entry ${stringify(entry)} leads out of the archive`);
  const found = [path, path + '.js', path + '/index.js'].find(isFile);
  if (found === undefined) throw new LoadError(`the archive holds no ${stringify(file)}, which its entry names`);
  return { file: found, name };
}

// The files are loaded by Node's own loaders, with node_modules beside them and "type" as their
// package.json says.
async function loadFolder(folder, entry) {
  const { pathToFileURL } = require('url');
  const { file, name } = entryOf(folder, entry);
  const escaped = folder.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  frameOfProgram = new RegExp(`(?:^|[ (])(?:file://)?${escaped}/.*:\\d+:\\d+\\)?$`);
  frameOfSource = new RegExp(`(?:^|[ (])(?:file://)?${escaped}/(?!(?:.*/)?node_modules/).*:(\\d+):(\\d+)\\)?$`);
  headOfSource = new RegExp(`^(?:file://)?${escaped}/(?!(?:.*/)?node_modules/).*:(\\d+)$`);
  folderPrefix = new RegExp(`(?:file://)?${escaped}/`, 'g');
  process.argv[1] = file;
  let exported;
  try {
    exported = nodeModule.createRequire(file)(file);
  } catch (error) {
    if (error?.code !== 'ERR_REQUIRE_ESM' && error?.code !== 'ERR_REQUIRE_ASYNC_MODULE') throw error;
    exported = await import(pathToFileURL(file));
  }
  return pick(exported, name, util.types.isModuleNamespaceObject(exported) ? 'es module' : 'module');
}

let handler = null;       // {call, receiver}, once loaded
let takesCallback = false;
let resultBytesMax = 16 << 20;

async function load(header, source) {
  for (const [name, value] of Object.entries(header.environment ?? {})) process.env[name] = value;
  const entry = header.entry ?? '';
  if (header.folder !== undefined) {
    const picked = await loadFolder(header.folder, entry);
    takesCallback = picked.call.length === 2;
    handler = picked;
    return;
  }
  if (source.charCodeAt(0) === 0xfeff) source = source.slice(1);
  if (source.startsWith('#!')) source = '//' + source.slice(2);
  const found = detect(source);
  let picked;
  if (found.form === 'body') {
    if (entry !== '') throw new LoadError(`the entry ${stringify(entry)} is not there: the script is the body of a function and exports nothing`);
    picked = { call: found.make(programRequire), receiver: undefined };
  } else {
    picked = pick(found.form === 'module' ? exportsOfCommonJs(source) : await exportsOfModule(found.module), entry, found.form);
  }
  takesCallback = picked.call.length === 2;
  handler = picked;
}

// ---- Calls ------------------------------------------------------------------------------------

// The call (or the load) that runs now; an answer for any other comes too late and is dropped.
let current = null;  // {type, text}: the frame that will answer it, once `type` is set
let loadFailed = false;

function begin() {
  logBytesLeft = logBytesMax;
  logBytesDropped = 0;
  logFlushedAt = dateNow();
  active = true;
  current = { type: 0, text: '' };
  return current;
}

// A failure that came after the result, while it was not sent yet, takes its place.
function settle(call, type, text) {
  if (call !== current || (call.type !== 0 && (type !== kFailure || call.type === kFailure))) return;
  if (call.type === 0) setImmediateOriginal(finish);
  call.type = type;
  call.text = text;
}

function finish() {
  const { type, text } = current;
  sealLog();
  active = false;
  if (logBytesDropped > 0) {
    const count = '' + logBytesDropped;
    if (outputEnd + 64 > output.length) flushOutput();
    logFrameStart = outputEnd;
    logStream = kDroppedCount;
    outputEnd += 6;
    outputEnd += writeText(output, count, outputEnd);
    sealLog();
  }
  putFrame(type, text);
  if (outputEnd > 0) flushOutput();
  current = null;
  step();
}

const loneSurrogate = /(?:^|[^\\])(?:\\\\)*\\ud[89a-f]/;

// {type, text} for what the function gave.
function answer(call, value) {
  let text;
  if (value === undefined) {
    text = 'null';
  } else {
    try {
      text = stringify(value);
    } catch (error) {
      const about = describe(error);
      about.message = 'the result cannot be written as JSON: ' + about.message +
          (typeof value === 'bigint' || indexOfText(about.message, 'BigInt') >= 0 ? '; convert it with Number(…) or String(…)' :
           indexOfText(about.message, 'circular') >= 0 ? '; return a tree without cycles' : '');
      return settle(call, kFailure, failureText('result', about));
    }
    if (typeof text !== 'string') {
      return settle(call, kFailure, failedWith('result', 'TypeError',
          `the result cannot be written as JSON: it is a ${typeof value}; return an object, an array, a string, a number, a boolean or null`));
    }
    if (indexOfText(text, '\\ud') >= 0 && testPattern(loneSurrogate, text)) {
      return settle(call, kFailure, failedWith('result', 'TypeError',
          'the result holds a lone surrogate, which is not Unicode text; a string was cut in the middle of a character (see String.prototype.toWellFormed)'));
    }
  }
  if (text.length * 3 > resultBytesMax) {
    const bytes = byteLength(text, 'utf8');
    if (bytes > resultBytesMax) {
      return settle(call, kFailure, failedWith('result', 'RangeError',
          `the result has ${bytes} bytes as JSON and ${resultBytesMax} are allowed; return less, or a reference to it`));
    }
  }
  settle(call, kResult, text);
}

function invokeWithCallback(context, params) {
  return new PromiseOriginal((resolve, reject) => {
    const callback = (error, value) => {
      if (error !== null && error !== undefined && error !== false) reject(error);
      else resolve(value);
    };
    const returned = apply(handler.call, handler.receiver, [{ ...context, params }, callback]);
    forwardReturned(returned, resolve, reject);
  });
}

// What such a function returns counts only if it is a value: undefined leaves it to the callback.
async function forwardReturned(returned, resolve, reject) {
  try {
    const value = await returned;
    if (value !== undefined) resolve(value);
  } catch (error) {
    reject(error);
  }
}

async function run(call, context, params) {
  let value;
  try {
    value = await (takesCallback ? invokeWithCallback(context, params) : apply(handler.call, handler.receiver, [{ params, context }]));
  } catch (error) {
    return settle(call, kFailure, failed('threw', error));
  }
  answer(call, value);
}

async function runLoad(call, header, source) {
  try {
    await load(header, source);
    settle(call, kLoaded, '{}');
  } catch (error) {
    loadFailed = true;
    settle(call, kFailure, error instanceof LoadError
      ? error.about ? failureText('load', error.about) : failedWith('load', 'LoadError', error.message)
      : failed('load', error));
  }
}

// Reads the next frame and starts what it asks for. Runs as a task of the event loop, never inside
// the function's own code.
function step() {
  for (;;) {
    const { type, bytes, start, end } = readFrame();
    const middle = start + 4 + readU32(bytes, start);
    if (type === kLoad && handler === null && !loadFailed) {
      const header = parse(readText(bytes, start + 4, middle));
      logBytesMax = header.log_bytes_max ?? logBytesMax;
      resultBytesMax = header.result_bytes_max ?? resultBytesMax;
      runLoad(begin(), header, readText(bytes, middle, end));
      return;
    }
    if (type !== kCall) exit(70);
    if (handler === null) continue;  // sent before the server saw that the load failed
    const context = parse(readText(bytes, start + 4, middle));
    const params = parse(readText(bytes, middle, end));
    frame.bytes = input;  // gives a large frame back
    run(begin(), context, params);
    return;
  }
}

function onLostError(error) {
  if (current === null) exit(1);
  if (current.type === kLoaded) {
    handler = null;
  }
  if (handler === null) loadFailed = true;
  settle(current, kFailure, failed(handler === null ? 'load' : 'threw', error));
}
process.on('uncaughtException', onLostError);
process.on('unhandledRejection', onLostError);

// Nothing is left that could ever settle the promise that the call waits for.
process.on('beforeExit', () => {
  if (current === null || current.type !== 0) return;
  if (handler === null) loadFailed = true;
  settle(current, kFailure, failedWith(handler === null ? 'load' : 'threw', 'Error', takesCallback
    ? 'the function never called its callback and returned no value: nothing is left that could'
    : 'the promise that the function returned never settled: nothing is left that could settle it'));
});

process.argv = [process.argv[0], 'function.js'];
process.execArgv = [];
delete process.mainModule;
Error.stackTraceLimit = 32;
// V8 compiles what runs for the first time, here while nobody waits: a program of each common form is
// loaded and called as users' are, and forgotten.
async function rehearse() {
  for (const source of ['module.exports = async (event) => event.params;', 'return event.params;']) {
    await load({}, source);
    stringify(await apply(handler.call, handler.receiver, [{ params: parse('{"a":[1]}'), context: {} }]));
  }
  handler = null;
  takesCallback = false;
}

rehearse().then(() => setImmediateOriginal(() => {
  putFrame(kReady, '{}');
  flushOutput();
  step();
}));
