"""Django OAuth Toolkit as an OpenID provider on loopback: opaque access tokens with introspection, and ID tokens.

`python django_server.py PORT`. `POST /control/tokens` answers with tokens of a user: Alice's.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit
from wsgiref.simple_server import make_server

import django
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.test import Client
from django.urls import include, path

PORT = int(sys.argv[1])
REDIRECT = "https://app.example/callback"
_PEM = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "oauth2_provider"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    OAUTH2_PROVIDER={
        "OIDC_ENABLED": True,
        "OIDC_RSA_PRIVATE_KEY": _PEM.decode(),
        "SCOPES": {"openid": "OpenID Connect", "read": "Read", "introspection": "Introspect"},
    },
    ROOT_URLCONF=__name__,
    SECRET_KEY=secrets.token_hex(),
    USE_TZ=True,
)
django.setup()

CLIENT = {"client_id": "app", "client_secret": "a-secret-of-this-test-alone"}


def tokens(_: HttpRequest) -> JsonResponse:
    """Let Alice's browser go through the code flow with PKCE, and exchange the code."""
    browser = Client(HTTP_HOST=f"127.0.0.1:{PORT}")
    browser.force_login(apps.get_model("auth.User").objects.get(username="alice"))
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": "app",
        "redirect_uri": REDIRECT,
        "scope": "openid read",
        "nonce": "n",
    }
    pkce = {"code_challenge": challenge, "code_challenge_method": "S256"}
    answer = browser.get("/authorize/", {**asked, **pkce})
    code = parse_qs(urlsplit(answer["Location"]).query)["code"][0]
    grant = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier, "redirect_uri": REDIRECT}
    exchanged: Any = browser.post("/token/", {**grant, **CLIENT})
    return JsonResponse(exchanged.json())


urlpatterns = [path("control/tokens", tokens), path("", include("oauth2_provider.urls"))]


def main() -> None:
    """One thread, so that all requests see the database in memory."""
    call_command("migrate", verbosity=0)
    apps.get_model("auth.User").objects.create_user("alice")
    application = apps.get_model("oauth2_provider.Application")
    application.objects.create(
        **CLIENT,
        client_type=application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=application.GRANT_AUTHORIZATION_CODE,
        redirect_uris=REDIRECT,
        skip_authorization=True,
        algorithm=application.RS256_ALGORITHM,
    )
    make_server("127.0.0.1", PORT, get_wsgi_application()).serve_forever()


if __name__ == "__main__":
    main()
