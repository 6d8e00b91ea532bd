"""A site of Django: views, django-ninja and REST framework, in one module. It has the settings of the process."""

from __future__ import annotations

from typing import Any

import django
from django.conf import settings

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework"],
        MIDDLEWARE=["asgi_jwt_claims.django.TokenMiddleware"],
        REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": ["asgi_jwt_claims.django.JWTAuthentication"]},
        ROOT_URLCONF=__name__,
        SECRET_KEY="w" * 32,
    )
    django.setup()

from django.apps import apps
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from ninja import NinjaAPI
from rest_framework.decorators import api_view, permission_classes, throttle_classes
from rest_framework.permissions import DjangoModelPermissions, IsAdminUser, IsAuthenticated
from rest_framework.response import Response
from rest_framework.throttling import UserRateThrottle

from asgi_jwt_claims import Cookie, current_token, get_token
from asgi_jwt_claims.django import JWTAuth
from asgi_jwt_claims.errors import ForbiddenError


def told(request: HttpRequest) -> JsonResponse:
    token = request.token
    current = current_token()
    return JsonResponse({"identity": token and token.identity, "same": token is current})


async def told_async(request: HttpRequest) -> JsonResponse:
    return told(request)


def asked(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"identity": get_token(request).identity})


async def asked_async(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"identity": get_token(request).identity})


def forbidden(request: HttpRequest) -> HttpResponse:
    raise ForbiddenError("not the owner")


async def forbidden_async(request: HttpRequest) -> HttpResponse:
    raise ForbiddenError("not the owner")


def broken(request: HttpRequest) -> HttpResponse:
    raise LookupError("mine")


def posted(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"identity": get_token(request).identity, "note": request.POST.get("note")})


def streamed(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse([get_token(request).identity.encode()], content_type="text/plain")


# django-ninja -----------------------------------------------------------------------------------------------------------

api = NinjaAPI(auth=JWTAuth(), urls_namespace="ninja", docs_url=None)


def by_key(request: HttpRequest) -> str | None:
    return "by key" if request.headers.get("x-key") == "good" else None


@api.get("/sync")
def ninja_sync(request: HttpRequest) -> dict[str, Any]:
    return {"identity": request.auth.identity}


@api.get("/async")
async def ninja_async(request: HttpRequest) -> dict[str, Any]:
    return {"identity": request.auth.identity}


@api.get("/scoped", auth=JWTAuth(scopes="read"))
def ninja_scoped(request: HttpRequest) -> dict[str, Any]:
    return {"identity": request.auth.identity}


@api.get("/scoped_async", auth=JWTAuth(scopes="read"))
async def ninja_scoped_async(request: HttpRequest) -> dict[str, Any]:
    return {"identity": request.auth.identity}


@api.get("/refresh", auth=JWTAuth(type="refresh"))
def ninja_refresh(request: HttpRequest) -> dict[str, Any]:
    return {"identity": request.auth.identity}


@api.get("/either", auth=[JWTAuth(optional=True), by_key])
def ninja_either(request: HttpRequest) -> dict[str, Any]:
    return {"by": getattr(request.auth, "identity", request.auth)}


@api.get("/cookie", auth=JWTAuth(sources=[Cookie()]))
async def ninja_cookie(request: HttpRequest) -> dict[str, Any]:
    return {"identity": request.auth.identity}


# REST framework ---------------------------------------------------------------------------------------------------------


class Hourly(UserRateThrottle):
    rate = "1000/hour"


class ModelPermissions(DjangoModelPermissions):
    def _queryset(self, view: Any) -> Any:
        return apps.get_model("auth.Group").objects.all()


@api_view(["GET"])
@permission_classes([IsAuthenticated])
@throttle_classes([Hourly])
def rest(request: Any) -> Response:
    return Response({"identity": request.auth.identity, "user": str(request.user), "pk": request.user.pk})


@api_view(["GET"])
@permission_classes([])
def rest_open(request: Any) -> Response:
    return Response({"authenticated": request.user.is_authenticated, "auth": request.auth and request.auth.identity})


@api_view(["GET"])
@permission_classes([IsAdminUser])
def rest_admin(request: Any) -> Response:
    return Response({})


@api_view(["POST"])
@permission_classes([ModelPermissions])
def rest_model(request: Any) -> Response:
    return Response({})


views = (told, told_async, asked, asked_async, forbidden, forbidden_async, broken, posted, streamed)
rest_views = {"rest": rest, "rest_open": rest_open, "rest_admin": rest_admin, "rest_model": rest_model}
urlpatterns = [
    *(path(view.__name__, view) for view in views),
    *(path(name, view) for name, view in rest_views.items()),
    path("api/", api.urls),
]

application: Any = get_asgi_application()
