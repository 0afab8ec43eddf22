"""Django with Channels, in one file."""

import asyncio
import zlib

import django
from django.conf import settings
from django.core.signals import request_finished
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    DEFAULT_CHARSET="utf-8",
    SECRET_KEY="of the tests",
    INSTALLED_APPS=["channels"],
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    DATA_UPLOAD_MAX_MEMORY_SIZE=None,
    LOGGING_CONFIG=None,
)
django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application
from django.urls import path

SEEN = {"stopped": 0, "cancelled": 0, "requests": 0, "codes": []}


def count(**_):
    SEEN["requests"] += 1


request_finished.connect(count)


def json(request):
    # Not a coroutine function: Django runs it in a thread.
    return JsonResponse({"hello": request.GET["name"], "started": None})


async def upload(request):
    crc = size = 0
    while block := request.read(1 << 16):
        crc, size = zlib.crc32(block, crc), size + len(block)
    return JsonResponse({"size": size, "crc": crc})


async def form(request):
    file = request.FILES["file"]
    return JsonResponse({"name": file.name, "size": len(file.read())})


async def events(request):
    async def generate():
        try:
            yield b"data: first\n\n"
            await asyncio.Event().wait()
        finally:
            SEEN["stopped"] += 1

    return StreamingHttpResponse(generate(), content_type="text/event-stream")


async def blocks(request):
    async def generate():
        for number in range(64):
            yield bytes([number]) * 65536

    return StreamingHttpResponse(generate())


def file(request):
    return FileResponse(open("file.bin", "rb"), as_attachment=True)


async def silent(request):
    """A view that never answers."""
    SEEN["waiting"] = True
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        SEEN["cancelled"] += 1
        raise


async def seen(request):
    return JsonResponse(SEEN)


async def fails(request):
    raise RuntimeError("as it was told to")


class Echo(AsyncWebsocketConsumer):
    async def connect(self):
        offered = self.scope["subprotocols"]
        await self.accept("chat" if "chat" in offered else None, headers=[(b"x-accepted", b"yes")])

    async def receive(self, text_data=None, bytes_data=None):
        if text_data == "close":
            await self.close(4001, "as told")
        else:
            await self.send(text_data, bytes_data)

    async def disconnect(self, code):
        SEEN["codes"].append(code)


class Refused(WebsocketConsumer):
    """A consumer that is no coroutine: it runs in a thread."""

    def connect(self):
        self.close()


class Group(AsyncWebsocketConsumer):
    """Tells each message to all who are here."""

    async def connect(self):
        await self.channel_layer.group_add("all", self.channel_name)
        await self.accept()

    async def receive(self, text_data=None, bytes_data=None):
        await self.channel_layer.group_send("all", {"type": "told", "text": text_data})

    async def told(self, event):
        await self.send(event["text"])

    async def disconnect(self, code):
        await self.channel_layer.group_discard("all", self.channel_name)


urlpatterns = [
    path("json", json),
    path("upload", upload),
    path("form", form),
    path("events", events),
    path("blocks", blocks),
    path("file", file),
    path("silent", silent),
    path("seen", seen),
    path("raise", fails),
]
sockets = [path("echo", Echo.as_asgi()), path("refused", Refused.as_asgi()), path("group", Group.as_asgi())]
# Neither has a lifespan: Channels raises an exception for that scope.
application = ProtocolTypeRouter(
    {"http": get_asgi_application(), "websocket": AllowedHostsOriginValidator(URLRouter(sockets))}
)
