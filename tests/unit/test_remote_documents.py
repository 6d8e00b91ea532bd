"""Key sets and metadata as providers publish them: one odd entry takes no other with it, and reasons are kept."""

from __future__ import annotations

import email.utils
import errno
import itertools
import json
import socket
import ssl
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_jwt_claims import (
    JWTConfig,
    Key,
    KeySet,
    create_access_token,
    verify_token,
    verify_token_async,
)
from asgi_jwt_claims.errors import (
    AlgorithmRefusedError,
    KeyConfigurationError,
    KeysUnavailableError,
    SettingError,
)
from asgi_jwt_claims.jwks import FetchResponse, KeySetEvent, RemoteKeySet
from asgi_jwt_claims.jwks._documents import (
    RefusedDocumentError,
    read_jwks,
    read_metadata,
    read_retry_after,
)
from asgi_jwt_claims.jwks.fetch import why_not_fetched
from tests.conftest import NOW
from tests.forging import b64
from tests.keys import make_key
from tests.support import for_each

ISSUER, AUDIENCE, URL = "https://issuer.example/t1", "https://api.example", "https://issuer.example/jwks"
EC, RSA, ED = (make_key(name, kid="k") for name in ("ES256", "RS256", "EdDSA"))


def read(*entries: Any, body: bytes | None = None) -> tuple[KeySet, tuple[str, ...]]:
    return read_jwks(json.dumps({"keys": entries}).encode() if body is None else body, (), 64, None)


def minted(key: Key) -> str:
    return create_access_token("alice", JWTConfig(signing_key=key, issuer=ISSUER, audience=AUDIENCE, clock=lambda: NOW))


# One kid for several keys ---------------------------------------------------------------------------------------------


def test_one_kid_for_keys_of_several_kinds() -> None:
    """Keys of one kid are told apart by their algorithms, in any order, and stay the same objects when read again."""  # S97
    entries = [key.public_jwk() for key in (EC, RSA, ED)] + [{**RSA.public_jwk(), "alg": "PS256"}]
    keys, skipped = read(*entries)
    assert (4, ()) == (len(keys), skipped)
    for key in (EC, RSA, ED):
        assert key.public_jwk() == keys.find("k", key.algorithm).public_jwk()
    with pytest.raises(AlgorithmRefusedError):
        keys.find("k", "ES384")
    again, _ = read_jwks(json.dumps({"keys": entries[::-1]}).encode(), (), 64, keys)
    assert again is keys


def test_own_keys_may_share_a_kid_too() -> None:
    """A configuration with keys of several kinds under one kid verifies the tokens of each."""
    config = JWTConfig(
        verification_keys=[EC.public(), RSA.public()], issuer=ISSUER, audience=AUDIENCE, clock=lambda: NOW
    )
    assert ["alice", "alice"] == [verify_token(minted(key), config).identity for key in (EC, RSA)]
    with pytest.raises(KeyConfigurationError, match="two keys have the kid 'k' and the algorithm ES256"):
        KeySet([EC, Key.generate("ES256", kid="k")])


# What is read leniently -----------------------------------------------------------------------------------------------


@for_each("value", [None, "", [], {}])
@for_each("name", ["use", "key_ops", "alg", "k", "d", "p", "x5c", "oth", "unknown"])
@pytest.mark.parametrize("key", [EC, RSA, ED], ids=lambda key: key.algorithm)
def test_members_without_a_value_say_nothing(key: Key, name: str, value: Any) -> None:
    """A member that is null or empty counts as absent, in a provider's set and in one that the application loads."""
    entry = {**key.public_jwk(), name: value}
    keys, skipped = read(entry)
    assert (1, ()) == (len(keys), skipped)
    assert 1 == len(KeySet.from_jwks({"keys": [entry]}))


@pytest.mark.parametrize("name", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
def test_a_key_with_any_private_member_is_not_used(name: str) -> None:
    """A single one of them can give away all the others."""  # S100
    entry = {**RSA.public_jwk(), name: "AQAB"}
    keys, skipped = read(entry, EC.public_jwk())
    assert (["ES256"], 1) == ([key.algorithm for key in keys], len(skipped))
    with pytest.raises(KeyConfigurationError, match="the JWK Set holds a private key"):
        KeySet.from_jwks({"keys": [entry]})


JWK = json.dumps({**EC.public_jwk(), "x-issued": 1}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + b'{"keys": [%s]}' % JWK,
        b'{"keys": [%s]}' % JWK.replace(b": 1}", b": 1800000000123456789}"),
        b'{"keys": [%s]}' % JWK.replace(b": 1}", b": %s}" % (b"9" * 100_000)),
        b'{"keys": [%s]}' % JWK.replace(b": 1}", b": -1e999}"),
        b'{"keys": [%s]}' % JWK.replace(b": 1}", b": NaN}"),
        b'{"keys": [%s]}' % JWK.replace(b": 1}", rb': "\ud800"}'),
        b'{"keys": [%s]}' % JWK.replace(b": 1}", b": 1, %s" % JWK[1:]),
        b'{"keys": [], "keys": [%s]}' % JWK,
        b'{"deep": %s1%s, "keys": [%s]}' % (b"[" * 50, b"]" * 50, JWK),
        b' \r\n\t{"keys": [%s]}\n' % JWK,
    ],
    ids=[
        "byte order mark",
        "large number",
        "huge number",
        "infinite",
        "no number",
        "half a surrogate",
        "member twice",
        "keys twice",
        "deep",
        "white space",
    ],
)
def test_spellings_do_no_harm(body: bytes) -> None:
    """No signature depends on how a key set is spelled, so any spelling that has one meaning will do."""
    keys, _ = read(body=body)
    assert ["k"] == [key.kid for key in keys]


@pytest.mark.parametrize("depth", [100, 900, 990, 5_000, 200_000])
def test_an_entry_of_any_depth_is_no_accident(depth: int) -> None:
    """However deep the nesting is, the set is read or refused by our error."""
    body = b'{"keys": [{"kty": %s1%s}, %s]}' % (b"[" * depth, b"]" * depth, JWK)
    try:
        keys, skipped = read(body=body)
    except RefusedDocumentError as error:
        seen: Any = str(error)
    else:
        seen = [key.kid for key in keys], len(skipped)
    assert seen in ("the JWK Set: nested too deeply", (["k"], 1))


def test_many_large_keys_are_checked_by_and_by() -> None:
    """Once the time is over, keys are checked for what is seen at once, and for all else when they come again."""  # S34
    moduli = {"prime": 2**2281 - 1, "even": 2**2280}
    jwks = [{**RSA.public_jwk(), "kid": kid, "n": b64(n.to_bytes(286, "big")).decode()} for kid, n in moduli.items()]
    body = json.dumps({"keys": [*jwks, EC.public_jwk()]}).encode()
    assert {"prime", EC.kid} == {key.kid for key in read_jwks(body, (), 64, None, 0.0).keys}
    assert {EC.kid} == {key.kid for key in read_jwks(body, (), 64, None).keys}


# Reasons --------------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_the_status_says_why_no_key_can_be_used() -> None:
    """How many were passed over, and why the last was; the event has the reason of each."""
    events: list[KeySetEvent] = []
    entries = [{**EC.public_jwk(), "use": "enc"}, {**RSA.public_jwk(), "n": "!"}]

    async def fetch(url: str, *, max_size: int) -> FetchResponse:
        return FetchResponse(200, {}, json.dumps({"keys": entries}).encode())

    keys = RemoteKeySet(URL, fetch=fetch, on_event=events.append)
    with pytest.raises(KeysUnavailableError):
        await keys.fetch_now()
    status = keys.status()
    assert (2, "the JWK Set has no key that can be used; 2 were skipped, the last because: the JWK member 'n'") == (
        status.skipped,
        str(status.last_failure).partition(" is ")[0],
    )
    with anyio.fail_after(10):
        while not events:  # noqa: ASYNC110 -- what is waited for tells nobody
            await anyio.sleep(0.01)
    assert [2] == [len(event.skipped) for event in events]
    assert "its use is 'enc'" in events[0].skipped[0]


def chained(*errors: BaseException) -> BaseException:
    """The first error, caused by the second, and so on."""
    for error, cause in itertools.pairwise(errors):
        error.__cause__ = cause
    return errors[0]


class ConnectError(Exception):
    """That of a client."""


def certificate_error() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED]")
    error.verify_message = "certificate has expired"
    return error


def tls_error() -> ssl.SSLError:
    error = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]")
    error.reason = "WRONG_VERSION_NUMBER"
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectError("secret"), "ConnectError"),
        (ConnectionError("secret"), "ConnectionError"),
        (
            chained(ConnectError("secret"), OSError("all attempts"), ConnectionRefusedError(errno.ECONNREFUSED, "x")),
            "ConnectError: Connection refused",
        ),
        (
            chained(ConnectError(), OSError(), ExceptionGroup("", [ConnectionRefusedError(errno.ECONNREFUSED, "x")])),
            "ConnectError: Connection refused",
        ),
        (
            chained(ConnectError(), socket.gaierror(socket.EAI_NONAME, "secret")),
            "ConnectError: the name of the host cannot be resolved",
        ),
        (
            chained(ConnectError(), certificate_error()),
            "ConnectError: the certificate is not accepted: certificate has expired",
        ),
        (chained(ConnectError(), ssl.SSLError(2, "broken off")), "ConnectError"),
        (chained(ConnectError(), ssl.SSLCertVerificationError("of a client")), "ConnectError"),
        (chained(ConnectError(), tls_error()), "ConnectError: TLS failed: WRONG_VERSION_NUMBER"),
        (
            chained(ConnectError(), *(ValueError() for _ in range(100)), OSError(errno.ECONNREFUSED, "x")),
            "ConnectError",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_connection_that_fails_says_why(error: BaseException, reason: str) -> None:
    """By what was at the bottom of it, and without the words of any other message."""
    assert reason == why_not_fetched(error)


# Discovery ------------------------------------------------------------------------------------------------------------

OPENID = "https://issuer.example/t1/.well-known/openid-configuration"
OAUTH = "https://issuer.example/.well-known/oauth-authorization-server/t1"
BESIDE = "https://issuer.example/.well-known/openid-configuration/t1"
METADATA = json.dumps({"issuer": ISSUER, "jwks_uri": URL}).encode()


def site(documents: dict[str, FetchResponse | RefusedDocumentError]) -> RemoteKeySet:
    """The keys of an issuer that answers with these documents, and with 404 elsewhere."""

    async def fetch(url: str, *, max_size: int) -> FetchResponse:
        answer = documents.get(url, FetchResponse(404, {}, b""))
        if isinstance(answer, RefusedDocumentError):
            raise answer
        return answer

    documents[URL] = FetchResponse(200, {}, json.dumps({"keys": [EC.public_jwk()]}).encode())
    return RemoteKeySet(issuer=ISSUER, fetch=fetch)


NO_METADATA: dict[str, FetchResponse | RefusedDocumentError] = {
    "a page": FetchResponse(200, {}, b"<!doctype html><title>app</title>"),
    "nothing": FetchResponse(200, {}, b""),
    "a list": FetchResponse(200, {}, b"[]"),
    "an error": FetchResponse(200, {}, b'{"error": "not_found"}'),
    "another issuer": FetchResponse(200, {}, b'{"issuer": "https://issuer.example", "jwks_uri": "https://e.example/"}'),
    "no address": FetchResponse(200, {}, json.dumps({"issuer": ISSUER}).encode()),
    "too long": FetchResponse(200, {}, b" " * 300_000),
    "a redirect": FetchResponse(302, {}, b""),
    "no gzip": RefusedDocumentError("the answer is not gzip, as it says"),
}


@pytest.mark.anyio
@pytest.mark.parametrize("first", NO_METADATA.values(), ids=NO_METADATA)
async def test_discovery_goes_on(first: FetchResponse | RefusedDocumentError) -> None:
    """What is answered at the first address but is no metadata of this issuer does not end discovery (RFC 8414 section 3)."""  # S98
    keys = site({OPENID: first, OAUTH: FetchResponse(200, {}, METADATA)})
    config = JWTConfig.for_issuer(ISSUER, audience=AUDIENCE, jwks=keys, clock=lambda: NOW, type_claim="type")
    assert "alice" == (await verify_token_async(minted(EC), config)).identity


@pytest.mark.anyio
@pytest.mark.parametrize("first", [None, *NO_METADATA.values()], ids=["not found", *NO_METADATA])
async def test_discovery_goes_on_to_the_third_place(first: FetchResponse | RefusedDocumentError | None) -> None:
    """If RFC 8414's address has no metadata either, OpenID Connect's document is looked for beside it."""  # S98
    documents: dict[str, FetchResponse | RefusedDocumentError] = {BESIDE: FetchResponse(200, {}, METADATA)}
    keys = site(documents if first is None else {OPENID: first, OAUTH: first, **documents})
    config = JWTConfig.for_issuer(ISSUER, audience=AUDIENCE, jwks=keys, clock=lambda: NOW, type_claim="type")
    assert "alice" == (await verify_token_async(minted(EC), config)).identity


@pytest.mark.anyio
async def test_metadata_inside_a_private_network() -> None:
    """A named host may be issuer and have the keys without TLS; an address elsewhere may not be http."""  # S96
    issuer, asked = "http://keycloak:8080/realms/a", list[str]()
    places = {"good": "http://keycloak:8080/jwks", "bad": "http://evil.example/jwks"}

    def keys_at(place: str) -> RemoteKeySet:
        async def fetch(url: str, *, max_size: int) -> FetchResponse:
            asked.append(url)
            document = {"issuer": issuer, "jwks_uri": place, "keys": [EC.public_jwk()]}
            return FetchResponse(200, {}, json.dumps(document).encode())

        return RemoteKeySet(issuer=issuer, fetch=fetch, insecure_http_hosts=["keycloak"])

    await keys_at(places["good"]).fetch_now()
    with pytest.raises(KeysUnavailableError):
        await keys_at(places["bad"]).fetch_now()
    assert places["good"] in asked
    assert places["bad"] not in asked
    with pytest.raises(SettingError, match="the issuer is http"):
        RemoteKeySet(issuer=issuer)


@pytest.mark.parametrize(
    ("named", "shown"),
    [
        ("https://other.example", "'https://other.example'"),
        ("a\nb\u202e", r"'a\nb\u202e'"),
        ("x" * 5000, f"'{'x' * 200}'"),
        (None, "none that is a string"),
        (["https://issuer.example"], "none that is a string"),
    ],
)
def test_another_issuer_is_named(named: Any, shown: str) -> None:
    """The reason says which issuer the metadata names, quoted and cut."""
    with pytest.raises(RefusedDocumentError) as caught:
        read_metadata(json.dumps({"issuer": named}).encode(), "https://issuer.example/", loopback_http=False)
    assert f"the metadata is of another issuer: it names {shown}" == str(caught.value)


@pytest.mark.anyio
async def test_when_discovery_finds_nothing_each_reason_is_said() -> None:
    """And the time that the provider asks to be left alone is that of the longer answer."""
    another = NO_METADATA["another issuer"]
    keys = site({OPENID: another, OAUTH: FetchResponse(503, {"retry-after": "120"}, b"")})
    with pytest.raises(KeysUnavailableError) as refused:
        await keys.fetch_now()
    assert (
        "the metadata is of another issuer: it names 'https://issuer.example', then the request for the metadata was answered with status 503, then the request for the metadata was answered with status 404"
        == keys.status().last_failure
    )
    assert 120 <= (refused.value.retry_after or 0) <= 133


@pytest.mark.parametrize(("said", "with_or_without"), [(f"{ISSUER}/", "with a"), (ISSUER, "without a")])
def test_a_slash_too_many_or_too_few_is_named(said: str, with_or_without: str) -> None:
    """The commonest slip of all is not left to be guessed, and still never accepted."""  # S98
    configured = ISSUER if said.endswith("/") else f"{ISSUER}/"
    body = json.dumps({"issuer": said, "jwks_uri": URL}).encode()
    with pytest.raises(RefusedDocumentError, match=f"of another issuer, the one {with_or_without} slash at the end"):
        read_metadata(body, configured, loopback_http=False)


# Retry-After ----------------------------------------------------------------------------------------------------------

DATE = email.utils.formatdate(NOW, usegmt=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"retry-after": ""}, 0),
        ({"retry-after": "soon"}, 0),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "1.5"}, 0),
        ({"retry-after": "300"}, 300),
        ({"retry-after": " 300 "}, 300),
        ({"retry-after": "9" * 30}, 0),
        ({"retry-after": email.utils.formatdate(NOW + 90, usegmt=True), "date": DATE}, 90),
        ({"retry-after": email.utils.formatdate(NOW - 90, usegmt=True), "date": DATE}, 0),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}, 0),
        ({"retry-after": "Fri, 32 Nov 2026 08:49:37 GMT", "date": DATE}, 0),
    ],
    ids=str,
)
def test_retry_after_is_read_as_rfc_9110_says(headers: dict[str, str], seconds: float) -> None:
    """Seconds, or a date by the clock of the server that wrote it; what cannot be read says nothing."""
    assert seconds == read_retry_after(headers)


@given(st.text(max_size=100), st.text(max_size=100))
def test_any_retry_after_is_read(value: str, date: str) -> None:
    """Whatever stands in the headers, the answer is a number of seconds that is not below zero."""
    assert 0 <= read_retry_after({"retry-after": value, "date": date})
