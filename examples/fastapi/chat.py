"""A FastAPI application: a page with a chat over a WebSocket, and the same messages as JSON."""

import asyncio
from collections import deque

from fastapi import FastAPI, WebSocket
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

app = FastAPI()
messages = deque(maxlen=100)
people = set()

PAGE = """<!doctype html>
<title>Chat</title>
<h1>Chat</h1>
<form><input autofocus> <button>Send</button></form>
<ul></ul>
<script>
const [form, input, list] = ["form", "input", "ul"].map(name => document.querySelector(name));
let socket;
function connect() {
    socket = new WebSocket(location.href.replace(/^http/, "ws").replace(/#.*/, "") + "chat");
    socket.onopen = () => socket.send("somebody has come in");
    socket.onmessage = event => list.prepend(Object.assign(document.createElement("li"), {textContent: event.data}));
    // After a reload of the server, the new version is there at once.
    socket.onclose = event => setTimeout(connect, event.code == 1012 ? 0 : 2000);
}
form.onsubmit = event => {
    event.preventDefault();
    socket.send(input.value);
    input.value = "";
};
connect();
</script>
"""


class Message(BaseModel):
    text: str


async def say(text):
    messages.append(text)
    await asyncio.gather(*[person.send_text(text) for person in people], return_exceptions=True)


@app.get("/", response_class=HTMLResponse)
async def page():
    return PAGE


@app.get("/messages")
async def latest() -> list[Message]:
    return [Message(text=text) for text in messages]


@app.post("/messages", status_code=201)
async def add(message: Message) -> Message:
    await say(message.text)
    return message


@app.websocket("/chat")
async def chat(person: WebSocket):
    await person.accept()
    people.add(person)
    try:
        async for text in person.iter_text():
            await say(text)
    finally:
        people.discard(person)
