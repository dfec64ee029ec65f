// A calculator.
//
//   {"operation": "add" | "subtract" | "multiply" | "divide", "a": number, "b": number}
//   → {"result": number}

const operations = {
  __proto__: null,
  add: (a, b) => a + b,
  subtract: (a, b) => a - b,
  multiply: (a, b) => a * b,
  divide: (a, b) => {
    if (b === 0) throw new Error('Division by zero');
    return a / b;
  },
};

module.exports = async (event) => {
  const { operation, a, b } = event.params ?? {};
  const operate = typeof operation === 'string' ? operations[operation] : undefined;
  if (!operate) {
    throw new Error(`Unknown operation ${JSON.stringify(operation)}: use one of ${Object.keys(operations).join(', ')}`);
  }
  for (const [name, value] of Object.entries({ a, b })) {
    if (typeof value !== 'number') throw new TypeError(`${name} must be a number, not ${JSON.stringify(value)}`);
  }
  const result = operate(a, b);
  // JSON has no Infinity, and turning it into null would hide it.
  if (!Number.isFinite(result)) throw new RangeError('The result is too large for a number');
  return { result };
};
