// A chat of express and ws: a page whose script opens a WebSocket, and a stream of what was said (server-sent events).
const http = require("node:http");
const express = require("express");
const { WebSocketServer } = require("ws");

const PAGE = `<!doctype html>
<ul></ul>
<script>
const chat = new WebSocket(location.href.replace("http", "ws") + "chat");
const show = text => { document.querySelector("ul").innerHTML += "<li>" + text + "</li>"; };
chat.onopen = () => chat.send("hello from a browser");
chat.onmessage = ({ data }) => show(data);
chat.onclose = ({ code }) => show("closed " + code);
const events = new EventSource("events");
events.onmessage = ({ data }) => { show("event " + data); events.close(); };
</script>
`;

const app = express();
app.set("trust proxy", true);
app.get("/", (request, response) => response.send(PAGE));
app.get("/client", (request, response) => response.json([request.ip, request.protocol, request.hostname]));
app.post("/echo", express.raw({ type: () => true, limit: "50mb" }), (request, response) => response.send(request.body));
app.get("/events", (request, response) => {
  response.set("Content-Type", "text/event-stream");
  response.write("data: one\n\n");
});

const server = http.createServer(app);
const chat = new WebSocketServer({ server, path: "/chat" });
chat.on("connection", client => {
  client.on("message", (data, isBinary) => client.send("you said: " + data, { binary: isBinary }));
});
server.listen(Number(process.argv[2]), "127.0.0.1");
