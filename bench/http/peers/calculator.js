// The calculator as each JavaScript host wants it: `node calculator.js PORT` is node:http alone; functions-framework loads
// the export `calculator`.
const operations = { add: (a, b) => a + b, subtract: (a, b) => a - b, multiply: (a, b) => a * b, divide: (a, b) => a / b };

function calculate({ operation, a, b }) {
  return { result: operations[operation](a, b) };
}

exports.calculator = (request, response) => {
  response.json(calculate(request.body));
};

if (require.main === module) {
  require('node:http').createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const body = JSON.stringify(calculate(JSON.parse(Buffer.concat(chunks))));
      response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) });
      response.end(body);
    });
  }).listen(Number(process.argv[2]), '127.0.0.1');
}
