"""Authlib as an OpenID provider on loopback: JWT access tokens by its RFC 9068 generator, ID tokens by its OpenIDCode.

`python authlib_server.py PORT`. Metadata and key set are published by the application, since Authlib
leaves that to it. Alice has consented to everything.
"""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, grants
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from authlib.oidc.core import OpenIDCode, UserInfo
from flask import Flask, jsonify
from joserfc.jwk import RSAKey

PORT = int(sys.argv[1])
ISSUER = f"http://127.0.0.1:{PORT}"
ALICE = SimpleNamespace(get_user_id=lambda: "alice")
codes: dict[str, Code] = {}
key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)


class Client(ClientMixin):
    """The only client."""

    client_id, client_secret, redirect_uri = "app", "a-secret-of-this-test-alone", "https://app.example/callback"

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri == self.redirect_uri

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == self.client_secret

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in ("authorization_code", "client_credentials")


class Code(AuthorizationCodeMixin):
    """An authorization code, for Alice."""

    auth_time = int(time.time())

    def __init__(self, code: str, payload: Any) -> None:
        self.code, self.redirect_uri, self.scope = code, payload.redirect_uri, payload.scope
        self.nonce = payload.data.get("nonce")

    def get_redirect_uri(self) -> Any:
        return self.redirect_uri

    def get_scope(self) -> Any:
        return self.scope

    def get_nonce(self) -> Any:
        return self.nonce

    def get_auth_time(self) -> int:
        return self.auth_time

    def get_acr(self) -> None: ...

    def get_amr(self) -> None: ...


class CodeGrant(grants.AuthorizationCodeGrant):  # type: ignore[misc]  # not typed
    """The code flow, with codes in memory."""

    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)

    def save_authorization_code(self, code: str, request: Any) -> None:
        codes[code] = Code(code, request.payload)

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        return codes.get(code)

    def delete_authorization_code(self, authorization_code: Code) -> None:
        del codes[authorization_code.code]

    def authenticate_user(self, authorization_code: Code) -> object:
        return ALICE


class IDTokens(OpenIDCode):  # type: ignore[misc]  # not typed
    """What makes ID tokens."""

    def exists_nonce(self, nonce: str, request: Any) -> bool:
        return False

    def get_client_claims(self, client: Client) -> dict[str, Any]:
        return {"iss": ISSUER, "aud": [client.client_id]}

    def resolve_client_private_key(self, client: Client) -> Any:
        return key

    def get_encode_header(self, client: Client) -> dict[str, str]:
        return {"alg": "RS256", "kid": str(key.kid)}

    def generate_user_info(self, user: Any, scope: str) -> UserInfo:
        return UserInfo(sub=user.get_user_id())


class AccessTokens(JWTBearerTokenGenerator):  # type: ignore[misc]  # not typed
    """What makes access tokens."""

    def get_jwks(self) -> Any:
        return key

    def get_audiences(self, client: Client, user: object, scope: str) -> str:
        return "https://api.example"

    def get_extra_claims(self, client: Client, grant_type: str, user: object, scope: str) -> dict[str, Any]:
        return {"roles": ["reader"]} if user else {}


app = Flask(__name__)
server = AuthorizationServer(
    app, query_client=lambda client_id: Client() if client_id == "app" else None, save_token=lambda token, request: None
)
server.register_grant(grants.ClientCredentialsGrant)
server.register_grant(CodeGrant, [IDTokens()])
server.register_token_generator("default", AccessTokens(ISSUER))


@app.get("/.well-known/openid-configuration")
def metadata() -> Any:
    """RFC 8414 section 2."""
    return jsonify(
        issuer=ISSUER,
        jwks_uri=f"{ISSUER}/jwks.json",
        authorization_endpoint=f"{ISSUER}/authorize",
        token_endpoint=f"{ISSUER}/token",
        response_types_supported=["code"],
    )


@app.get("/jwks.json")
def jwks() -> Any:
    """The only key."""
    return jsonify(keys=[key.as_dict(private=False)])


@app.get("/authorize")
def authorize() -> Any:
    """Redirects at once."""
    return server.create_authorization_response(grant_user=ALICE, grant=server.get_consent_grant(end_user=ALICE))


@app.post("/token")
def token() -> Any:
    """RFC 6749 section 3.2."""
    return server.create_token_response()


if __name__ == "__main__":
    app.run(port=PORT)
