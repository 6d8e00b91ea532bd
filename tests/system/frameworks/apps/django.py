"""Django, with a consumer of Channels for the WebSocket, wrapped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import django
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from asgi_jwt_claims import get_token
from asgi_jwt_claims.stores import TokenStore
from tests.raw_asgi import App
from tests.system.frameworks.guarded import ANSWERS, EVENT, PAUSE, guarded, size_of
from tests.system.frameworks.guarded import sync as answer_of_sync


def handler(answer: Any) -> Any:
    async def handle(request: Any) -> HttpResponse:
        return JsonResponse(answer(request))

    return handle


def sync(request: HttpRequest) -> HttpResponse:
    return JsonResponse(answer_of_sync())


@csrf_exempt
async def upload(request: HttpRequest) -> HttpResponse:
    return JsonResponse(size_of(request.body))


async def ticks() -> AsyncIterator[str]:
    while True:
        yield EVENT
        await anyio.sleep(PAUSE)


async def events(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(ticks(), content_type="text/event-stream")


class Socket(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()
        await self.send(get_token(self).identity)


urlpatterns = [
    *(path(name, handler(answer)) for name, answer in ANSWERS.items()),
    path("sync", sync),
    path("upload", upload),
    path("events", events),
]


def build(store: TokenStore) -> App:
    settings.configure(
        ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="for nothing", DATA_UPLOAD_MAX_MEMORY_SIZE=None
    )
    django.setup()
    sockets = URLRouter([path("socket", Socket.as_asgi())])
    return guarded(ProtocolTypeRouter({"http": get_asgi_application(), "websocket": sockets}), store)
