'use strict';
// What the harness needs of JavaScript's own objects, taken before any program is loaded: a changed
// prototype or a replaced global breaks the program alone.

const { apply } = Reflect;
const { stringify } = JSON;
const { byteLength, allocUnsafeSlow } = Buffer;
const uncurry = Function.prototype.bind.bind(Function.prototype.call);
const execPattern = RegExp.prototype.exec;
const readText = uncurry(Buffer.prototype.utf8Slice);    // toString and write without the checks
const writeText = uncurry(Buffer.prototype.utf8Write);

// Buffer.from(text) looks methods up where the program can change them.
function encode(text) {
  const bytes = allocUnsafeSlow(byteLength(text));
  writeText(bytes, text, 0);
  return bytes;
}

module.exports = {
  allocUnsafeSlow, apply, byteLength, encode, execPattern, readText, stringify, uncurry, writeText,
  indexOfText: uncurry(String.prototype.indexOf),
  replaceText: String.prototype.replace,
  sliceText: uncurry(String.prototype.slice),
  splitText: uncurry(String.prototype.split),
  StringOriginal: String,
  testPattern: (pattern, text) => apply(execPattern, pattern, [text]) !== null,
};
