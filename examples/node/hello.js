// An HTTP server as Node has it: it listens where `runner` says, and ends when it is told to (SIGTERM).

const { createServer } = require("node:http");

const { HOST, PORT } = process.env;

const server = createServer((request, response) => {
  response.setHeader("Content-Type", "text/plain; charset=utf-8");
  if (request.url === "/ready") {
    return response.end();
  }
  response.end(`Hello from process ${process.pid}! You asked for ${request.url}\n`);
});

server.listen(PORT, HOST, () => console.log(`ready at ${HOST}:${PORT}`));
process.on("SIGTERM", () => server.close());
