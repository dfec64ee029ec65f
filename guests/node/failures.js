'use strict';
// What a failure says to the client: whatever a program throws, with the place in its own source.
//
//   settle(call, kFailure, failed('threw', error));      // docs/worker-protocol.md, FAILURE

const { inspect } = require('util');
const {
  apply, byteLength, encode, execPattern, indexOfText, readText, replaceText, sliceText, splitText, stringify, StringOriginal, testPattern,
} = require('./originals.js');

const kMessageBytesMax = 16 << 10;
const kStackBytesMax = 64 << 10;

const ownFolder = __dirname + '/';
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
    if (isFrame && (indexOfText(line, ownFolder) >= 0 || testPattern(frameOfNode, line))) continue;
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

// From now on the program's source is the files of this folder, but for its packages.
function useFolder(folder) {
  const escaped = folder.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  frameOfProgram = new RegExp(`(?:^|[ (])(?:file://)?${escaped}/.*:\\d+:\\d+\\)?$`);
  frameOfSource = new RegExp(`(?:^|[ (])(?:file://)?${escaped}/(?!(?:.*/)?node_modules/).*:(\\d+):(\\d+)\\)?$`);
  headOfSource = new RegExp(`^(?:file://)?${escaped}/(?!(?:.*/)?node_modules/).*:(\\d+)$`);
  folderPrefix = new RegExp(`(?:file://)?${escaped}/`, 'g');
}

module.exports = { describe, failed, failedWith, failureText, useFolder };
