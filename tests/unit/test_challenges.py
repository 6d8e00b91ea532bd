"""Refusals byte for byte: what the client reads, and nothing of what it sent."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import Mock

import pytest

from asgi_jwt_claims import BearerHeader, Cookie, JWTConfig, JWTMiddleware, errors
from asgi_jwt_claims.errors import (
    ForbiddenError,
    MissingScopeError,
    MissingTokenError,
    SettingError,
    TokenError,
)
from asgi_jwt_claims.responses import ErrorResponder, ErrorResponse, close_code, send_response
from asgi_jwt_claims.sources import Credentials
from tests.raw_asgi import Exchange, Message, Recorder, Scope, drive, http_scope, websocket_scope
from tests.support import for_each

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """One event loop. What waits, and so could tell loops apart, is tested on both elsewhere."""
    return "asyncio"


# Class: status, WWW-Authenticate, body.
GOLDEN: dict[str, tuple[int, str, bytes]] = {
    "TokenError": (
        401,
        'Bearer realm="api", error="invalid_token", error_description="The token is not acceptable."',
        b'{"error": "invalid_token", "error_description": "The token is not acceptable."}',
    ),
    "MissingTokenError": (
        401,
        'Bearer realm="api"',
        b'{"error": "unauthorized", "error_description": "Authentication is required."}',
    ),
    "InvalidRequestError": (
        400,
        'Bearer realm="api", error="invalid_request", error_description="The credentials are malformed."',
        b'{"error": "invalid_request", "error_description": "The credentials are malformed."}',
    ),
    "MalformedCredentialsError": (
        400,
        'Bearer realm="api", error="invalid_request", error_description="The Authorization header is malformed."',
        b'{"error": "invalid_request", "error_description": "The Authorization header is malformed."}',
    ),
    "AmbiguousPathError": (
        400,
        'Bearer realm="api", error="invalid_request", error_description="The path can be read in more than one way."',
        b'{"error": "invalid_request", "error_description": "The path can be read in more than one way."}',
    ),
    "RepeatedCredentialsError": (
        400,
        'Bearer realm="api", error="invalid_request", error_description="More than one credential was sent."',
        b'{"error": "invalid_request", "error_description": "More than one credential was sent."}',
    ),
    "CrossSiteRequestError": (
        403,
        'Bearer realm="api", error="invalid_request", error_description="The request may have been forged by another site."',
        b'{"error": "invalid_request", "error_description": "The request may have been forged by another site."}',
    ),
    "CSRFTokenError": (
        403,
        'Bearer realm="api", error="invalid_request", error_description="The request lacks the CSRF value of its token."',
        b'{"error": "invalid_request", "error_description": "The request lacks the CSRF value of its token."}',
    ),
    "ForeignOriginError": (
        403,
        'Bearer realm="api", error="invalid_request", error_description="The request comes from another origin."',
        b'{"error": "invalid_request", "error_description": "The request comes from another origin."}',
    ),
    "InvalidTokenError": (
        401,
        'Bearer realm="api", error="invalid_token", error_description="The token is not acceptable."',
        b'{"error": "invalid_token", "error_description": "The token is not acceptable."}',
    ),
    "TokenTooLargeError": (
        401,
        'Bearer realm="api", error="invalid_token", error_description="The token is too large."',
        b'{"error": "invalid_token", "error_description": "The token is too large."}',
    ),
    "MalformedTokenError": (
        401,
        'Bearer realm="api", error="invalid_token", error_description="The token is malformed."',
        b'{"error": "invalid_token", "error_description": "The token is malformed."}',
    ),
    "EncryptedTokenError": (
        401,
        'Bearer realm="api", error="invalid_token", error_description="Encrypted tokens are not accepted."',
        b'{"error": "invalid_token", "error_description": "Encrypted tokens are not accepted."}',
    ),
    "InvalidHeaderError": (
        401,
        'Bearer realm="api", error="invalid_token", error_description="The token header is not acceptable."',
        b'{"error": "invalid_token", "error_description": "The token header is not acceptable."}',
    ),
    "AlgorithmRefusedError": (
        401,
        'Bearer realm="api", error="invalid_token", error_description="The token algorithm is not acceptable."',
        b'{"error": "invalid_token", "error_description": "The token algorithm is not acceptable."}',
    ),
    "UnknownKeyError": (
        401,
        'Bearer realm="api", error="invalid_token", error_description="The token signature could not be verified."',
        b'{"error": "invalid_token", "error_description": "The token signature could not be verified."}',
    ),
    "InvalidSignatureError": (
        401,
        'Bearer realm="api", error="invalid_token", error_description="The token signature could not be verified."',
        b'{"error": "invalid_token", "error_description": "The token signature could not be verified."}',
    ),
    "MissingClaimError": (
        401,
        'Bearer realm="api", error="invalid_token", error_description="The token lacks a required claim."',
        b'{"error": "invalid_token", "error_description": "The token lacks a required claim."}',
    ),
    "InvalidClaimError": (
        401,
        'Bearer realm="api", error="invalid_token", error_description="The token has an invalid claim."',
        b'{"error": "invalid_token", "error_description": "The token has an invalid claim."}',
    ),
    "ExpiredTokenError": (
        401,
        'Bearer realm="api", error="invalid_token", error_description="The token has expired."',
        b'{"error": "invalid_token", "error_description": "The token has expired."}',
    ),
    "NotYetValidError": (
        401,
        'Bearer realm="api", error="invalid_token", error_description="The token is not yet valid."',
        b'{"error": "invalid_token", "error_description": "The token is not yet valid."}',
    ),
    "WrongIssuerError": (
        401,
        'Bearer realm="api", error="invalid_token", error_description="The token is from another issuer."',
        b'{"error": "invalid_token", "error_description": "The token is from another issuer."}',
    ),
    "WrongAudienceError": (
        401,
        'Bearer realm="api", error="invalid_token", error_description="The token is for another audience."',
        b'{"error": "invalid_token", "error_description": "The token is for another audience."}',
    ),
    "WrongTypeError": (
        401,
        'Bearer realm="api", error="invalid_token", error_description="The token is of the wrong type."',
        b'{"error": "invalid_token", "error_description": "The token is of the wrong type."}',
    ),
    "BoundTokenError": (
        401,
        (
            'Bearer realm="api", error="invalid_token", '
            'error_description="The token is sender-constrained and cannot be used as a bearer token."'
        ),
        (
            b'{"error": "invalid_token", '
            b'"error_description": "The token is sender-constrained and cannot be used as a bearer token."}'
        ),
    ),
    "FreshTokenRequiredError": (
        401,
        'Bearer realm="api", error="insufficient_user_authentication", error_description="A fresh login is required."',
        b'{"error": "insufficient_user_authentication", "error_description": "A fresh login is required."}',
    ),
    "ForbiddenError": (
        403,
        'Bearer realm="api", error="insufficient_scope", error_description="The token does not allow this request."',
        b'{"error": "insufficient_scope", "error_description": "The token does not allow this request."}',
    ),
    "MissingScopeError": (
        403,
        'Bearer realm="api", error="insufficient_scope", error_description="The token lacks a required scope."',
        b'{"error": "insufficient_scope", "error_description": "The token lacks a required scope."}',
    ),
    "RoleRefusedError": (
        403,
        'Bearer realm="api", error="insufficient_scope", error_description="The role of the token is not allowed."',
        b'{"error": "insufficient_scope", "error_description": "The role of the token is not allowed."}',
    ),
    "WrongClientError": (
        401,
        'Bearer realm="api", error="invalid_token", error_description="The token was issued to another client."',
        b'{"error": "invalid_token", "error_description": "The token was issued to another client."}',
    ),
    "WrongIdentityError": (
        401,
        'Bearer realm="api", error="invalid_token", error_description="The token is of another identity."',
        b'{"error": "invalid_token", "error_description": "The token is of another identity."}',
    ),
    "IdentityRefusedError": (
        401,
        'Bearer realm="api", error="invalid_token", error_description="The session cannot be continued."',
        b'{"error": "invalid_token", "error_description": "The session cannot be continued."}',
    ),
    "InactiveTokenError": (
        401,
        'Bearer realm="api", error="invalid_token", error_description="The token is not active."',
        b'{"error": "invalid_token", "error_description": "The token is not active."}',
    ),
    "RevokedTokenError": (
        401,
        'Bearer realm="api", error="invalid_token", error_description="The token has been revoked."',
        b'{"error": "invalid_token", "error_description": "The token has been revoked."}',
    ),
    "ReusedTokenError": (
        401,
        'Bearer realm="api", error="invalid_token", error_description="The token has been revoked."',
        b'{"error": "invalid_token", "error_description": "The token has been revoked."}',
    ),
}

# Whoever cannot be answered yet is not asked for other credentials.
UNAVAILABLE = dict.fromkeys(
    (
        "UnavailableError",
        "IntrospectionUnavailableError",
        "KeysUnavailableError",
        "StoreUnavailableError",
        "ClaimsUnavailableError",
    ),
    b'{"error": "temporarily_unavailable", "error_description": "The token cannot be checked at the moment."}',
)


def family(kind: type[TokenError]) -> Iterator[type[TokenError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from family(child)


KINDS = [kind for kind in dict.fromkeys(family(TokenError)) if kind.__module__.startswith(errors.__name__)]
CHALLENGED = [kind for kind in KINDS if not issubclass(kind, errors.UnavailableError)]


def test_every_error_is_golden() -> None:
    """No class of refusal is left out of the table below."""
    assert {kind.__name__ for kind in KINDS} == {*GOLDEN, *UNAVAILABLE}


@for_each("kind", CHALLENGED)
def test_golden_bytes(kind: type[TokenError]) -> None:
    """Status, headers in their order, and body are exactly these."""  # S111
    status, challenge, body = GOLDEN[kind.__name__]
    headers = (
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        ("cache-control", "no-store"),  # S114
        ("www-authenticate", challenge),
    )
    assert ErrorResponse(status, headers, body) == ErrorResponder().response_for(kind())


@pytest.mark.parametrize("name", UNAVAILABLE)
def test_what_cannot_be_checked_is_not_challenged(name: str) -> None:
    """503 says when to try again, and asks for nothing else."""  # S111
    body = UNAVAILABLE[name]
    headers = (
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        ("cache-control", "no-store"),
        ("retry-after", "7"),
    )
    assert ErrorResponse(503, headers, body) == ErrorResponder().response_for(getattr(errors, name)(retry_after=7))


def test_the_max_age_attribute() -> None:
    """401 for a login too long ago says how old it may be, in seconds (RFC 9470 section 3)."""
    answer = ErrorResponder().response_for(errors.FreshTokenRequiredError(max_age=300, age=301))
    assert dict(answer.headers)["www-authenticate"].endswith(', max_age="300"')


def test_the_scope_attribute() -> None:
    """403 for a scope names all scopes that are needed, not only those that lack."""  # S116
    answer = ErrorResponder().response_for(MissingScopeError(scope="read write", missing="write"))
    assert (
        "www-authenticate",
        (
            'Bearer realm="api", error="insufficient_scope", error_description="The token lacks a required scope.", '
            'scope="read write"'
        ),
    ) == answer.headers[-1]


@for_each("kind", KINDS)
def test_nothing_of_the_evidence_is_sent(kind: type[TokenError]) -> None:
    """What was seen stays on the exception: the answer is the same whatever the request held."""  # S112
    seen = kind(claim="<script>", kid='x"\r\nSet-Cookie: a=b', reason="secret-reason", iss="https://evil.example")
    assert ErrorResponder().response_for(kind()) == ErrorResponder().response_for(seen)


@for_each("kind", CHALLENGED)
def test_the_characters_of_a_challenge(kind: type[TokenError]) -> None:
    """Every attribute stands once, and keeps to the characters of RFC 6750 section 3."""  # S112
    challenge = GOLDEN[kind.__name__][1]
    quoted = r'"[\x20-\x21\x23-\x5B\x5D-\x7E]+"'
    attributes = re.findall(rf"([a-z_]+)=({quoted})", challenge)
    assert "Bearer " + ", ".join(f"{name}={value}" for name, value in attributes) == challenge
    assert sorted({name for name, _ in attributes}) == sorted(name for name, _ in attributes)
    assert "realm" == attributes[0][0]  # never the scheme alone


def test_unknown_key_and_bad_signature_look_alike() -> None:
    """A client cannot tell whether a key exists."""  # S115
    answer = ErrorResponder().response_for
    assert answer(errors.UnknownKeyError(kid="a")) == answer(errors.InvalidSignatureError(kid="b"))


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        (errors.RepeatedCredentialsError, "Bad Request"),
        (errors.MissingTokenError, "Unauthorized"),
        (errors.ExpiredTokenError, "Unauthorized"),
        (errors.RoleRefusedError, "Forbidden"),
    ],
)
def test_problem_json(kind: type[TokenError], title: str) -> None:
    """RFC 9457 by option: the same challenge, `status` as sent, and the two members of the usual body."""  # S117
    answer = ErrorResponder(problem_json=True).response_for(kind())
    status, challenge, body = GOLDEN[kind.__name__]
    expected = {"type": "about:blank", "title": title, "status": status, "detail": kind.description}
    assert {**expected, **json.loads(body)} == json.loads(answer.body)
    assert (
        ("content-type", "application/problem+json"),
        ("content-length", str(len(answer.body))),
        ("cache-control", "no-store"),
        ("www-authenticate", challenge),
    ) == answer.headers


def test_problem_json_bytes() -> None:
    """One problem document, byte for byte."""
    assert (
        b'{"type": "about:blank", "title": "Unauthorized", "status": 401, "detail": "The token has expired.", '
        b'"error": "invalid_token", "error_description": "The token has expired."}'
    ) == ErrorResponder(problem_json=True).response_for(errors.ExpiredTokenError()).body


def test_the_realm() -> None:
    """The realm is the application's own."""
    assert ("www-authenticate", 'Bearer realm="orders of Ada"') == (
        ErrorResponder("orders of Ada").response_for(MissingTokenError()).headers[-1]
    )


class Proof:
    """A source of the application for another authentication scheme."""

    auth_scheme = "DPoP"

    def __call__(self, scope: Any, max_size: int) -> Credentials | None:
        return None


@pytest.mark.parametrize(
    ("sources", "schemes"),
    [
        ([BearerHeader(scheme="Token"), Cookie(), lambda scope, max_size: None], ["Bearer"]),
        ([BearerHeader(), Proof(), Proof()], ["Bearer", "DPoP"]),
        ([Proof(), BearerHeader()], ["DPoP", "Bearer"]),
        ([Proof()], ["DPoP"]),
    ],
)
async def test_one_challenge_for_each_scheme(config: JWTConfig, sources: Any, schemes: list[str]) -> None:
    """A refusal challenges with each scheme that the sources accept, once, in the order of the sources."""
    answer = await drive(JWTMiddleware(Recorder(), config, realm="orders", sources=sources), http_scope("/"))
    challenge = ", ".join(f'{scheme} realm="orders"' for scheme in schemes)
    assert challenge == answer.headers["www-authenticate"]


def test_each_challenge_has_all_attributes() -> None:
    """What a challenge says of an error, it says for each scheme."""
    expired = GOLDEN["ExpiredTokenError"][1]
    answer = ErrorResponder(schemes=("Bearer", "DPoP")).response_for(errors.ExpiredTokenError())
    assert f"{expired}, {expired.replace('Bearer', 'DPoP')}" == answer.headers[-1][1]


@pytest.mark.parametrize("scheme", ["", "a b", "a,b", "DPoP\r\n", "Größe", None, 5, b"DPoP"])
def test_a_scheme_that_cannot_be_named(config: JWTConfig, scheme: Any) -> None:
    """An `auth_scheme` that no header can name is refused when the middleware is built."""

    def source(scope: Any, max_size: int) -> Credentials | None:
        return None

    vars(source)["auth_scheme"] = scheme
    with pytest.raises(SettingError, match='an HTTP token such as "Bearer", got'):
        JWTMiddleware(Recorder(), config, sources=[source])


@pytest.mark.parametrize(
    "arguments",
    [
        {"realm": ""},
        {"realm": 'a"b'},
        {"realm": "a\\b"},
        {"realm": "a\r\nb"},
        {"realm": "réalm"},
        {"realm": None},
        {"problem_json": 1},
        {"problem_json": "yes"},
        {"on_error": "function"},
        {"on_error": 0},
        {"on_error": lambda error, response: None},
        {"on_error": lambda error, response, scope, more: None},
        {"on_error": lambda *, error, response, scope: None},
    ],
)
def test_unusable_settings(arguments: dict[str, Any]) -> None:
    """What cannot be a header or a callback is refused when the application is built."""
    with pytest.raises(SettingError):
        ErrorResponder(**arguments)


def takes_more(error: TokenError, answer: ErrorResponse, scope: Any, more: int = 0) -> Any:
    return None


@pytest.mark.parametrize("on_error", [takes_more, lambda *_: None, Mock(), max], ids=["default", "any", "mock", "of C"])
def test_usable_callbacks(on_error: Any) -> None:
    """What can be called with three arguments can be a callback; a function that does not say so is believed."""
    ErrorResponder(on_error=on_error)


ANOTHER = ErrorResponse(418, (("x-tea", "pot"),), b"short and stout")
BARE_500 = ErrorResponse(500, (("content-length", "0"), ("cache-control", "no-store")), b"")


def keeps(error: TokenError, answer: ErrorResponse, scope: Any) -> ErrorResponse | None:
    return None


def changes(error: TokenError, answer: ErrorResponse, scope: Any) -> ErrorResponse | None:
    return ANOTHER


async def keeps_later(error: TokenError, answer: ErrorResponse, scope: Any) -> ErrorResponse | None:
    return None


async def changes_later(error: TokenError, answer: ErrorResponse, scope: Any) -> ErrorResponse | None:
    return ANOTHER


def extends(error: TokenError, answer: ErrorResponse, scope: Any) -> ErrorResponse | None:
    return answer._replace(headers=(*answer.headers, ("x-code", error.code)))


def raises(error: TokenError, answer: ErrorResponse, scope: Any) -> ErrorResponse | None:
    raise RuntimeError("the database of secrets is down")


async def raises_later(error: TokenError, answer: ErrorResponse, scope: Any) -> ErrorResponse | None:
    raise RuntimeError("the database of secrets is down")


def lies(error: TokenError, answer: ErrorResponse, scope: Any) -> Any:
    return False


def says_true(error: TokenError, answer: ErrorResponse, scope: Any) -> Any:
    return True


async def lies_later(error: TokenError, answer: ErrorResponse, scope: Any) -> Any:
    return {"status": 200}


SCOPE = {"type": "http", "method": "GET", "path": "/", "headers": []}
EXPIRED = ErrorResponder().response_for(errors.ExpiredTokenError())


@pytest.mark.parametrize(
    ("on_error", "expected"),
    [
        (None, EXPIRED),
        (keeps, EXPIRED),
        (keeps_later, EXPIRED),
        (changes, ANOTHER),
        (changes_later, ANOTHER),
        (extends, EXPIRED._replace(headers=(*EXPIRED.headers, ("x-code", "token_expired")))),
        (raises, BARE_500),  # S120
        (raises_later, BARE_500),
        (lies, BARE_500),
        (says_true, BARE_500),
        (lies_later, BARE_500),
    ],
)
async def test_on_error(on_error: Callable[..., Any] | None, expected: ErrorResponse) -> None:
    """Sync or async, it may change the answer; one that fails says nothing and lets nobody in (two traps)."""
    assert expected == await ErrorResponder(on_error=on_error).respond(errors.ExpiredTokenError(), SCOPE)


@pytest.mark.parametrize(
    "answer",
    [
        ErrorResponse("401", (), b""),  # type: ignore[arg-type]
        ErrorResponse(True, (), b""),
        ErrorResponse(101, (), b""),
        ErrorResponse(600, (), b""),
        ErrorResponse(401, (), "text"),  # type: ignore[arg-type]
        ErrorResponse(401, (("x-name", "\u20ac"),), b""),
        ErrorResponse(401, (("x-näme", "x"),), b""),
        ErrorResponse(401, (("x-name", "a\r\nset-cookie: b=c"),), b""),
        ErrorResponse(401, (("x-name", "a\x00"),), b""),
        ErrorResponse(401, (("x-name", 5),), b""),  # type: ignore[arg-type]
        ErrorResponse(401, ((b"x-name", b"x"),), b""),  # type: ignore[arg-type]
        ErrorResponse(401, (("x-name",),), b""),  # type: ignore[arg-type]
        ErrorResponse(401, 5, b""),  # type: ignore[arg-type]
        ErrorResponse(401, {"te": "x"}, b""),  # type: ignore[arg-type]
        ErrorResponse(401, iter((("x-name", "x"),)), b""),  # type: ignore[arg-type]
        ErrorResponse(401, (("x-name: a\r\nset-cookie", "b=c"),), b""),
        ErrorResponse(401, (("x name", "x"),), b""),
        ErrorResponse(401, (("", "x"),), b""),
        ErrorResponse(204, (), b"text"),
        ErrorResponse(304, (), b"text"),
    ],
)
async def test_an_answer_that_no_server_can_send(answer: ErrorResponse) -> None:
    """What `on_error` returns is looked at before a server is, so that the request is refused in any case."""  # S120
    challenges = ErrorResponder(on_error=lambda *_: answer)
    assert BARE_500 == await challenges.respond(errors.ExpiredTokenError(), SCOPE)


async def test_the_length_of_another_body() -> None:
    """An `on_error` that changes the body alone breaks no connection: the length is that of the new body."""
    challenges = ErrorResponder(on_error=lambda error, answer, scope: answer._replace(body=b"No."))
    headers = tuple((name, "3" if name == "content-length" else value) for name, value in EXPIRED.headers)
    assert EXPIRED._replace(body=b"No.", headers=headers) == await challenges.respond(errors.ExpiredTokenError(), SCOPE)


async def test_on_error_sees_the_error_the_answer_and_the_scope() -> None:
    """The callback gets the very error, with its evidence, the answer that is about to be sent, and the request's scope."""
    seen: list[tuple[TokenError, ErrorResponse, Any]] = []
    error = errors.ExpiredTokenError(exp=5)
    challenges = ErrorResponder(on_error=lambda *arguments: seen.append(arguments))
    assert EXPIRED == await challenges.respond(error, SCOPE)
    assert [(error, EXPIRED, SCOPE)] == seen
    assert (True, True) == (error is seen[0][0], SCOPE is seen[0][2])


async def test_a_failing_on_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The operator reads what went wrong; the client does not."""
    await ErrorResponder(on_error=raises).respond(errors.ExpiredTokenError(), SCOPE)
    assert [logging.ERROR] == [record.levelno for record in caplog.records]
    assert "the database of secrets is down" in caplog.text


@pytest.mark.parametrize(("status", "code"), [(400, 3000), (401, 3000), (403, 3003), (500, 3000), (503, 1013)], ids=str)
def test_close_codes(status: int, code: int) -> None:
    """Forbidden and unavailable have close codes of their own; every other refusal is Unauthorized."""
    assert code == close_code(status)


async def sent(answer: ErrorResponse, scope: Scope) -> Exchange:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    await send_response(answer, scope, send)
    return Exchange(messages)


@pytest.mark.parametrize(
    ("scope", "prefix"),
    [(http_scope(), ""), (http_scope(method="HEAD"), ""), (websocket_scope(), "websocket.")],
    ids=["http", "head", "websocket"],
)
async def test_an_answer_is_two_messages(scope: Scope, prefix: str) -> None:
    """The answer as ASGI messages; a websocket gets the denial response that its server offers."""  # S114, S125
    answer = ErrorResponse(401, (("x-one", "1"), ("x-one", "ü")), b"body")
    assert [
        {"type": prefix + "http.response.start", "status": 401, "headers": [(b"x-one", b"1"), (b"x-one", b"\xfc")]},
        {"type": prefix + "http.response.body", "body": b"body", "more_body": False},
    ] == (await sent(answer, scope)).messages  # S113: a repeated header keeps its own line


@pytest.mark.parametrize("extensions", [{}, None, {"tls": {}}], ids=str)
@pytest.mark.parametrize(("status", "code"), [(401, 3000), (403, 3003)])
async def test_a_websocket_without_denial_is_closed(extensions: Any, status: int, code: int) -> None:
    """Where the server cannot deny, the handshake is refused by a close and never accepted."""  # S125
    scope = websocket_scope(extensions=extensions)
    assert [{"type": "websocket.close", "code": code, "reason": ""}] == (
        await sent(ErrorResponse(status, (), b""), scope)
    ).messages


async def test_a_websocket_without_extensions_is_closed() -> None:
    """A scope may lack the key altogether."""  # S125
    scope = websocket_scope()
    del scope["extensions"]
    assert ["websocket.close"] == (await sent(ErrorResponse(401, (), b""), scope)).types


def test_a_forbidden_error_of_the_application_needs_no_scope() -> None:
    """The attribute is left out where there is nothing to say."""
    assert "scope=" not in ErrorResponder().response_for(ForbiddenError()).headers[-1][1]
