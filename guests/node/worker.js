'use strict';
// The worker that runs one JavaScript program: it reads frames from descriptor 3, calls the
// function and writes the answer there (docs/worker-protocol.md). Started by the server as
//
//   node --experimental-vm-modules worker.js       (failures.js, loading.js, originals.js beside it)
//
// The flag is for ES modules; nothing else is needed. Node 18 and newer.
//
// Between calls the worker sleeps in a blocking read and no code of the function runs. A call is
// answered one turn of the event loop after its promise settled, so that a rejection nobody handled
// still fails the call it came from. Whatever an earlier call left behind (timers, promises) runs
// while a later call runs, can print into that call's log, and can never answer it.
//
// The function shares this process: see originals.js.

const fs = require('fs');
const util = require('util');
const { Writable } = require('stream');
const { describe, failed, failedWith, failureText } = require('./failures.js');
const { load, LoadError } = require('./loading.js');
const {
  allocUnsafeSlow, apply, byteLength, encode, indexOfText, readText, sliceText, stringify, testPattern, uncurry, writeText,
} = require('./originals.js');

const kSocket = 3;
const kLoad = 0x01, kCall = 0x02;
const kReady = 0x80, kLoaded = 0x81, kResult = 0x82, kFailure = 0x83, kLog = 0x84;
const kStdout = 0, kStderr = 1, kDroppedCount = 2;
const kLogTextBytesMax = 64 << 10;
const kLogFlushBytes = 16 << 10;    // a log this long is sent while the call still runs,
const kLogFlushMilliseconds = 50;   // and so is one this old

const { readSync, writeSync } = fs;
const { parse } = JSON;
const { defineProperty } = Reflect;
const { from: bufferFrom } = Buffer;
const { isUint8Array } = util.types;
const setImmediateOriginal = setImmediate;
const setTimeoutOriginal = setTimeout;
const dateNow = Date.now;
const PromiseOriginal = Promise;
const exit = process.reallyExit.bind(process);
const copyBytes = uncurry(Uint8Array.prototype.set);
const subarray = uncurry(Uint8Array.prototype.subarray);
const moveWithin = uncurry(Uint8Array.prototype.copyWithin);

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

// ---- Calls ------------------------------------------------------------------------------------

let handler = null;       // {call, receiver}, once loaded
let takesCallback = false;
let resultBytesMax = 16 << 20;

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
    handler = await load(header, source);
    takesCallback = handler.call.length === 2;
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
    const { call, receiver } = await load({}, source);
    stringify(await apply(call, receiver, [{ params: parse('{"a":[1]}'), context: {} }]));
  }
}

rehearse().then(() => setImmediateOriginal(() => {
  putFrame(kReady, '{}');
  flushOutput();
  step();
}));
