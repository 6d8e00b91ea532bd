"""Whose tokens a configuration accepts: the tenants of a template, the names of one issuer, several rules for one issuer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_jwt_claims import (
    AuthEvent,
    IssuerTemplate,
    JWTConfig,
    JWTMiddleware,
    Key,
    TokenError,
    create_access_token,
    verify_token,
    verify_token_async,
)
from asgi_jwt_claims.config import issuer_template
from asgi_jwt_claims.errors import (
    KeysUnavailableError,
    SettingError,
    WrongIssuerError,
)
from asgi_jwt_claims.jwks import FetchResponse, RemoteKeySet, TenantKeySets
from asgi_jwt_claims.sessions import list_sessions, revoke_identity, revoke_session, revoke_token
from asgi_jwt_claims.stores import MemoryStore
from tests.conftest import NOW
from tests.forging import b64
from tests.raw_asgi import Recorder, ask, bearer
from tests.unit.jwks.provider import AUDIENCE, URL, MovingClock, Provider, unknown_token

pytestmark = pytest.mark.anyio

TEXT = "https://login.example/{tid}/v2.0"
FOREIGN = (
    "mallory",
    "..",
    ".",
    "",
    "acme/..",
    "acme/../other",
    "%2e%2e",
    "acme%2F",
    "{tid}",
    "acme\n",
    "acmé",
    "ACME",
    "a" * 129,
)


def issuer(tenant: str) -> str:
    return f"https://login.example/{tenant}/v2.0"


def of_tenants(provider: Provider, allow: Any, **options: Any) -> JWTConfig:
    """A configuration for tenants that share one set of keys."""
    template = IssuerTemplate(TEXT, allow=allow, **options)
    keys = RemoteKeySet(URL, fetch=provider)
    return JWTConfig.for_issuer(template, audience=AUDIENCE, jwks=keys, clock=lambda: NOW)


def token_of(provider: Provider, tenant: str, key: Key | None = None, **claims: Any) -> str:
    """A token of a tenant as a provider writes it: without type, with claims side by side."""
    key = provider.keys[-1] if key is None else key
    header = b64(json.dumps({"alg": key.algorithm, "kid": key.kid}).encode())
    payload = {"iss": issuer(tenant), "sub": "alice", "aud": AUDIENCE, "iat": NOW, "exp": NOW + 60, **claims}
    text = header + b"." + b64(json.dumps(payload).encode())
    return (text + b"." + b64(key.sign(text))).decode()


async def verdict(raw: str, config: JWTConfig) -> str:
    """The issuer of an accepted token, else the code of the refusal."""
    try:
        return str((await verify_token_async(raw, config)).issuer)
    except TokenError as error:
        return error.code


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> MovingClock:
    """The clock by which answers are kept."""
    clock = MovingClock()
    monkeypatch.setattr(issuer_template, "time", SimpleNamespace(monotonic=clock))
    return clock


# Which issuers fit -----------------------------------------------------------------------------------------------------


async def test_the_listed_tenants_are_accepted_and_no_others() -> None:
    """A token passes if its issuer is the template with a tenant of the list in it; both requests of a token are alike."""  # S99
    provider = Provider()
    config = of_tenants(provider, {"acme", "other"})
    for tenant in ("acme", "other", "acme"):
        for _ in range(2):
            assert issuer(tenant) == await verdict(token_of(provider, tenant), config)
    for tenant in FOREIGN:
        assert "invalid_issuer" == await verdict(token_of(provider, tenant), config)
    assert [URL] == provider.fetched


@pytest.mark.parametrize("tenant", FOREIGN)
async def test_a_forged_token_of_a_foreign_tenant_causes_no_fetch(tenant: str) -> None:
    """With no keys in hand, and with an unknown key, the issuer is looked at before anything is fetched."""  # S99
    provider = Provider()
    for config in (of_tenants(provider, {"acme"}), of_tenants(provider, lambda tid: tid == "acme")):
        raw = token_of(provider, tenant)
        assert "invalid_issuer" == await verdict(raw, config)
        assert "invalid_issuer" == await verdict(unknown_token(1, like=raw), config)
        assert [] == provider.fetched
        assert 401 == (await ask(JWTMiddleware(Recorder(), config), "/", bearer(raw))).status
    assert [] == provider.fetched


@pytest.mark.parametrize("tenant", FOREIGN)
def test_path_tricks_are_no_tenant(tenant: str) -> None:
    """No separator, dot segment, escape, line end or other alphabet fits a variable, even if the function allows all."""
    template = IssuerTemplate(TEXT, allow=lambda tid: tid not in {"mallory", "ACME"})
    with pytest.raises(WrongIssuerError):
        template.check(issuer(tenant))


@given(st.text(max_size=12))
def test_any_text_in_place_of_a_variable(text: str) -> None:
    """The values that are found are the text itself, in the alphabet that means the same everywhere in a URL; or none."""
    found = IssuerTemplate(TEXT, allow={"acme"}).values_in(issuer(text))
    plain = text not in ("", ".", "..") and all(
        letter.isascii() and (letter.isalnum() or letter in "._~-") for letter in text
    )
    assert found == ((text,) if plain else None)


@given(st.text(max_size=60))
def test_any_issuer_is_judged(text: str) -> None:
    """Whatever an issuer is, it is refused without any other error."""
    with pytest.raises(WrongIssuerError):
        IssuerTemplate("{tenant}", allow={"acme"}).check(f"{text}/")


def test_an_issuer_beyond_all_reason_is_not_even_matched() -> None:
    """An issuer of more than 1,024 characters fits no template."""
    assert None is IssuerTemplate("x" * 1020 + "{tid}", allow={"acme"}).values_in("x" * 1020 + "acmes")
    assert ("acme",) == IssuerTemplate("x" * 1020 + "{tid}", allow={"acme"}).values_in("x" * 1020 + "acme")


async def test_several_variables() -> None:
    """With several variables the list holds tuples, and a function receives the values in order."""
    text = "https://cognito.{region}.example/{pool}"
    for allow in ({("eu", "p1")}, [["eu", "p1"]], lambda region, pool: (region, pool) == ("eu", "p1")):
        template = IssuerTemplate(text, allow=allow)
        assert ("region", "pool") == template.variables
        template.check("https://cognito.eu.example/p1")
        with pytest.raises(WrongIssuerError):
            template.check("https://cognito.eu.example/p2")


async def test_a_claim_of_the_name_of_a_variable_must_agree() -> None:
    """Entra ID writes the tenant twice: a token whose `tid` is not the one of its issuer is refused."""
    provider = Provider()
    config = of_tenants(provider, {"acme", "other"})
    assert issuer("acme") == await verdict(token_of(provider, "acme", tid="acme"), config)
    for wrong in ("other", "", 7, True, ["acme"]):
        assert "invalid_issuer" == await verdict(token_of(provider, "acme", tid=wrong), config)


@pytest.mark.parametrize(
    ("named", "accepted"),
    [
        (issuer("{tenantid}"), {"acme", "other"}),
        (issuer("acme"), {"acme"}),
        ("", set()),
        (7, {"acme", "other"}),
        (None, {"acme", "other"}),
    ],
)
async def test_a_key_of_one_issuer_signs_for_no_other(named: object, accepted: set[str]) -> None:
    """A JWK whose `issuer` is one tenant, as that of personal accounts at Entra ID, verifies the tokens of that one alone."""  # S45
    key = Key.generate("ES256")

    async def fetch(url: str, *, max_size: int) -> FetchResponse:
        return FetchResponse(200, {}, json.dumps({"keys": [{**key.public_jwk(), "issuer": named}]}).encode())

    keys = RemoteKeySet(URL, fetch=fetch)
    config = JWTConfig.for_issuer(
        IssuerTemplate(TEXT, allow={"acme", "other"}), audience=AUDIENCE, jwks=keys, clock=lambda: NOW
    )
    provider = Provider(key)
    for tenant in ("acme", "other"):
        expected = issuer(tenant) if tenant in accepted else "invalid_issuer"
        assert expected == await verdict(token_of(provider, tenant), config)


async def test_a_key_that_comes_to_be_of_one_issuer_signs_for_no_other() -> None:
    """Tokens that a key has verified are verified anew once its JWK names another issuer."""
    key = Key.generate("ES256")
    jwk = key.public_jwk()

    async def fetch(url: str, *, max_size: int) -> FetchResponse:
        return FetchResponse(200, {}, json.dumps({"keys": [jwk]}).encode())

    keys = RemoteKeySet(URL, fetch=fetch)
    config = JWTConfig.for_issuer(
        IssuerTemplate(TEXT, allow={"acme", "other"}), audience=AUDIENCE, jwks=keys, clock=lambda: NOW
    )
    raw = token_of(Provider(key), "acme")
    for _ in range(3):
        assert issuer("acme") == await verdict(raw, config)
    jwk["issuer"] = issuer("other")
    await keys.fetch_now()
    assert "invalid_issuer" == await verdict(raw, config)


# Who is asked ------------------------------------------------------------------------------------------------------------


def asking(answers: dict[str, Any], asked: list[str], kind: str) -> Callable[[str], Any]:
    """A function that allows what `answers` says, in one of the ways in which one can be written."""

    def allow(tid: str) -> Any:
        asked.append(tid)
        answer = answers.get(tid)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def allow_async(tid: str) -> Any:
        await anyio.lowlevel.checkpoint()
        return allow(tid)

    unseen = lambda tid: allow_async(tid)  # noqa: E731, PLW0108 -- nothing shows that it is async
    return {"sync": allow, "async": allow_async, "lambda": unseen}[kind]


KINDS = pytest.mark.parametrize("kind", ["sync", "async", "lambda"])


@KINDS
async def test_a_function_is_asked_once_and_its_answers_are_kept(kind: str, monotonic: MovingClock) -> None:
    """True is kept for `ttl`, any other answer for five seconds; so tenants come and go while the application runs."""
    provider, asked = Provider(), list[str]()
    answers: dict[str, Any] = {"acme": True}
    config = of_tenants(provider, asking(answers, asked, kind), ttl=60)
    for _ in range(3):
        assert issuer("acme") == await verdict(token_of(provider, "acme"), config)
        assert "invalid_issuer" == await verdict(token_of(provider, "new"), config)
    assert ["acme", "new"] == asked
    answers["new"] = True
    monotonic.advance(5)
    assert issuer("new") == await verdict(token_of(provider, "new"), config)
    answers["acme"] = False
    monotonic.advance(54)
    assert issuer("acme") == await verdict(token_of(provider, "acme"), config)
    monotonic.advance(1)
    assert "invalid_issuer" == await verdict(token_of(provider, "acme"), config)
    assert ["acme", "new", "new", "acme"] == asked


@KINDS
@pytest.mark.parametrize("answer", [1, "yes", object(), None, 0])
async def test_only_true_allows(kind: str, answer: object) -> None:
    """What is not exactly True refuses."""
    provider = Provider()
    assert "invalid_issuer" == await verdict(
        token_of(provider, "acme"), of_tenants(provider, asking({"acme": answer}, [], kind))
    )
    assert [] == provider.fetched


@KINDS
@pytest.mark.parametrize("error", [OSError("down"), asyncio.CancelledError()], ids=["error", "cancelled"])
async def test_a_function_that_fails_lets_in_no_token(
    kind: str, error: BaseException, caplog: pytest.LogCaptureFixture, anyio_backend_name: str
) -> None:
    """Its error is logged, the answer is 503, nothing is fetched, and the next token asks again."""
    if isinstance(error, asyncio.CancelledError) and (kind == "sync" or anyio_backend_name == "trio"):
        pytest.skip("a sync function does not wait, and trio knows no such error")
    provider, asked = Provider(), list[str]()
    answers: dict[str, Any] = {"acme": error}
    config = of_tenants(provider, asking(answers, asked, kind))
    assert "keys_unavailable" == await verdict(token_of(provider, "acme"), config)
    assert [] == provider.fetched
    assert "the function that allows issuers has failed" in caplog.text
    answers["acme"] = True
    assert issuer("acme") == await verdict(token_of(provider, "acme"), config)


async def test_a_function_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After five seconds, here a few, the token is answered with 503."""
    monkeypatch.setattr(issuer_template, "_PATIENCE", 0.01)

    async def allow(tid: str) -> bool:
        await anyio.sleep(60)
        return True

    provider = Provider()
    assert "keys_unavailable" == await verdict(token_of(provider, "acme"), of_tenants(provider, allow))


async def test_requests_of_one_tenant_share_a_call_of_the_function() -> None:
    """It is called once, and the cancellation of the request that came first ends neither the call nor the others."""
    started, go_on, asked = anyio.Event(), anyio.Event(), list[str]()

    async def allow(tid: str) -> bool:
        asked.append(tid)
        started.set()
        await go_on.wait()
        return True

    provider, found = Provider(), list[str]()
    config, raw = of_tenants(provider, allow), token_of(provider, "acme")

    async def request() -> None:
        found.append(await verdict(raw, config))

    async with anyio.create_task_group() as others:
        async with anyio.create_task_group() as first:
            first.start_soon(request)
            await started.wait()
            for _ in range(20):
                others.start_soon(request)
            await anyio.wait_all_tasks_blocked()
            first.cancel_scope.cancel()
        assert [] == provider.fetched
        go_on.set()
    assert (["acme"], [issuer("acme")] * 20) == (asked, found)


async def test_a_call_of_the_function_that_ends_with_its_event_loop(caplog: pytest.LogCaptureFixture) -> None:
    """Its cancellation is no failure of the function; a request that still waits for it is answered with 503."""
    started = anyio.Event()

    async def allow(tid: str) -> bool:
        started.set()
        await anyio.sleep(60)
        return True

    provider, found = Provider(), list[str]()
    config = of_tenants(provider, allow)
    calls = config.issuer._asking  # type: ignore[union-attr]  # an IssuerTemplate

    async def request() -> None:
        found.append(await verdict(token_of(provider, "acme"), config))

    async with anyio.create_task_group() as group:
        group.start_soon(request)
        await started.wait()
        (call,) = calls.running.values()
        call.cancel()
    assert (["keys_unavailable"], {}) == (found, calls.running)
    assert "has failed" not in caplog.text


@pytest.mark.parametrize("kind", ["async", "lambda"])
async def test_forged_tokens_of_many_tenants_cannot_overload_the_function(kind: str, monotonic: MovingClock) -> None:
    """Ten unknown tenants are asked about at once, the rest are answered with 503; a tenant allowed before is asked about."""
    go_on, asked = anyio.Event(), list[str]()

    async def allow(tid: str) -> bool:
        asked.append(tid)
        if tid != "acme":
            await go_on.wait()
        return tid == "acme"

    provider, found = Provider(), list[str]()
    config = of_tenants(provider, allow if kind == "async" else lambda tid: allow(tid))  # noqa: PLW0108 -- one that is no coroutine function
    assert issuer("acme") == await verdict(token_of(provider, "acme"), config)
    monotonic.advance(300)

    async def forge(tenant: str) -> None:
        found.append(await verdict(token_of(provider, tenant, Key.generate("ES256")), config))

    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(forge, f"made-up-{number}")
        await anyio.wait_all_tasks_blocked()
        assert (11, ["keys_unavailable"] * 40) == (len(asked), found)
        assert issuer("acme") == await verdict(token_of(provider, "acme"), config)
        go_on.set()
    assert (12, ["keys_unavailable"] * 40 + ["invalid_issuer"] * 10) == (len(asked), found)
    assert "invalid_issuer" == await verdict(token_of(provider, "new"), config)


async def test_the_key_of_another_issuer_verifies_no_token_of_one_issuer() -> None:
    """Without a template the JWK's `issuer` is compared too: with a variable, or as any name of the issuer, it fits."""  # S45
    key = Key.generate("ES256")
    provider = Provider(key)
    names = [issuer("acme"), "https://sts.example/acme/"]
    for named, accepted in ((issuer("{tenantid}"), True), (names[0], True), (names[1], True), (issuer("other"), False)):

        async def fetch(url: str, *, max_size: int, named: str = named) -> FetchResponse:
            return FetchResponse(200, {}, json.dumps({"keys": [{**key.public_jwk(), "issuer": named}]}).encode())

        keys = RemoteKeySet(URL, fetch=fetch)
        config = JWTConfig.for_issuer(names, audience=AUDIENCE, jwks=keys, clock=lambda: NOW)
        raw = token_of(provider, "acme")
        assert (issuer("acme") if accepted else "invalid_issuer") == await verdict(raw, config)


async def test_a_token_of_a_new_tenant_and_a_new_key_at_once() -> None:
    """An async function and a fetch for an unknown key may both be needed: one request waits for both."""
    provider, asked = Provider(), list[str]()
    config = of_tenants(provider, asking({"acme": True, "new": True}, asked, "async"))
    assert issuer("acme") == await verdict(token_of(provider, "acme"), config)
    provider.keys.append(Key.generate("ES256"))
    assert issuer("new") == await verdict(token_of(provider, "new"), config)
    assert ["acme", "new"] == asked
    assert [URL, URL] == provider.fetched


async def test_without_waiting_an_async_function_cannot_be_asked() -> None:
    """`verify_token` refuses with 503 a tenant that an async function has not yet allowed, and accepts it afterwards."""
    provider = Provider()
    config = of_tenants(provider, asking({"acme": True}, [], "async"))
    raw = token_of(provider, "acme")
    await config.jwks.fetch_now()  # type: ignore[union-attr]  # a RemoteKeySet
    with pytest.raises(KeysUnavailableError) as refused:
        verify_token(raw, config)
    assert {"type": "access", "identity": "alice"}.items() <= refused.value.verified.items()
    await verify_token_async(raw, config)
    assert "alice" == verify_token(raw, config).identity


@KINDS
async def test_without_waiting_a_function_that_fails_lets_in_no_token(kind: str) -> None:
    """`verify_token` answers the error of a sync function with 503 too, and does not wait for an async one."""
    provider = Provider()
    config = of_tenants(provider, asking({"acme": OSError("down")}, [], kind))
    await config.jwks.fetch_now()  # type: ignore[union-attr]  # a RemoteKeySet
    with pytest.raises(KeysUnavailableError):
        verify_token(token_of(provider, "acme"), config)


@KINDS
async def test_the_middleware_waits_for_the_function(kind: str) -> None:
    """A request of a new tenant is let in at once, one of a foreign tenant refused; other errors cause no question."""
    provider, asked = Provider(), list[str]()
    app = JWTMiddleware(Recorder(), of_tenants(provider, asking({"acme": True}, asked, kind)))
    assert 200 == (await ask(app, "/", bearer(token_of(provider, "acme")))).status
    assert 401 == (await ask(app, "/", bearer(token_of(provider, "mallory")))).status
    asked.clear()
    assert (
        401
        == (
            await ask(app, "/", bearer(token_of(provider, "mallory", Key.generate("ES256", kid=provider.keys[0].kid))))
        ).status
    )
    assert [] == asked


async def test_refused_answers_push_out_no_allowed_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept answers are bounded, the oldest give way, and forged tokens of many tenants leave the allowed ones alone."""
    monkeypatch.setattr(issuer_template, "_MAX_ALLOWED", 3)
    monkeypatch.setattr(issuer_template, "_MAX_REFUSED", 2)
    asked: list[str] = []
    template = IssuerTemplate(TEXT, allow=asking({f"t{number}": True for number in range(5)}, asked, "sync"))
    for number in range(5):
        template.check(issuer(f"t{number}"))
    for number in range(50):
        with pytest.raises(WrongIssuerError):
            template.check(issuer(f"x{number}"))
    assert [issuer("t2"), issuer("t3"), issuer("t4")] == list(template._allowed)
    assert [issuer("x48"), issuer("x49")] == list(template._refused)


# What is refused when built --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("https://login.example/", "an IssuerTemplate is an issuer with variables"),
        ("", "an IssuerTemplate is an issuer with variables"),
        (7, "an IssuerTemplate is an issuer with variables"),
        ("https://login.example/{tid}/{", "an IssuerTemplate is an issuer with variables"),
        ("https://login.example/{tid}}", "an IssuerTemplate is an issuer with variables"),
        ("https://login.example/{}", "an IssuerTemplate is an issuer with variables"),
        ("https://login.example/{0}", "an IssuerTemplate is an issuer with variables"),
        ("https://{tid}.example/{tid}", "has a variable twice"),
        ("https://{a}{b}", "must have a character such as / between"),
        ("https://{a}.eu-1.{b}/", "must have a character such as / between"),
    ],
)
def test_a_template_that_is_none(text: Any, match: str) -> None:
    """A template needs variables that can be told apart."""
    with pytest.raises(SettingError, match=match):
        IssuerTemplate(text, allow={"acme"})


@pytest.mark.parametrize(
    ("allow", "match"),
    [
        ("acme", "allow must be a set of tenants"),
        (None, "allow must be a set of tenants"),
        ({"acme": True}, "allow must be a set of tenants"),
        (set(), "allow is empty"),
        ({"acme/x"}, "allow holds 'acme/x', which no issuer can have for the 1 variables"),
        ({".."}, r"allow holds '\.\.'"),
        ({7}, "allow holds 7"),
        ({("a", "b")}, r"allow holds \('a', 'b'\)"),
    ],
)
def test_an_allow_list_that_is_none(allow: Any, match: str) -> None:
    """A list names at least one tenant, and only such as can stand in an issuer."""
    with pytest.raises(SettingError, match=match):
        IssuerTemplate(TEXT, allow=allow)


def test_a_ttl_that_is_none() -> None:
    """An answer is kept for more than no time."""
    with pytest.raises(SettingError, match="ttl must be more than zero"):
        IssuerTemplate(TEXT, allow={"acme"}, ttl=0)


def test_a_template_is_frozen_and_says_what_it_is() -> None:
    """No attribute can be set, and `repr` shows the text."""
    template = IssuerTemplate(TEXT, allow={"acme"})
    with pytest.raises(AttributeError, match="a IssuerTemplate is frozen"):
        template.text = "https://evil.example/{tid}"  # type: ignore[misc]
    assert f"<IssuerTemplate {TEXT}>" == repr(template)
    assert "<IssuerTemplate, not built>" == repr(object.__new__(IssuerTemplate))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        (
            {"issuer": TEXT, "jwks": RemoteKeySet(URL, fetch=Provider())},
            r"write IssuerTemplate\('https://login.example/{tid}",
        ),
        ({"issuer": ["https://a.example", TEXT], "jwks": RemoteKeySet(URL, fetch=Provider())}, "write IssuerTemplate"),
        ({"issuer": IssuerTemplate(TEXT, allow={"acme"}), "secret_key": "x" * 40}, "an IssuerTemplate needs jwks"),
        (
            {
                "issuer": IssuerTemplate(TEXT, allow={"acme"}),
                "jwks": RemoteKeySet(issuer=issuer("acme"), fetch=Provider()),
            },
            "finds the keys of 'https://login.example/acme/v2.0' alone",
        ),
        ({"issuer": issuer("acme"), "jwks": TenantKeySets()}, "TenantKeySets needs an IssuerTemplate as issuer"),
        ({"issuer": IssuerTemplate("urn:x:{tid}", allow={"acme"}), "jwks": TenantKeySets()}, "the issuer is not a URL"),
        (
            {"issuer": IssuerTemplate(TEXT, allow={"acme"}), "jwks": TenantKeySets(lambda issuer: None)},  # type: ignore[arg-type,return-value]
            "key_set must return a RemoteKeySet, not NoneType",
        ),
        (
            {
                "issuer": ["https://b.example", "https://a.example"],
                "jwks": RemoteKeySet(issuer="https://a.example", fetch=Provider()),
            },
            "jwks finds the keys of 'https://a.example', but issuer is 'https://b.example'",
        ),
    ],
)
def test_keys_that_do_not_go_with_the_issuer(settings: dict[str, Any], match: str) -> None:
    """Keys of one tenant, keys of each, and keys of one's own each go with one kind of issuer; the message says which."""
    with pytest.raises(SettingError, match=match):
        JWTConfig(audience=AUDIENCE, type_claim=None, user_claims_claim=None, **settings)


# Names of one issuer ---------------------------------------------------------------------------------------------------

GOOGLE = ["https://accounts.google.com", "accounts.google.com"]


def named(name: str | list[str], key: Key, **settings: Any) -> JWTConfig:
    return JWTConfig(signing_key=key, issuer=name, clock=lambda: NOW, **settings)


async def test_the_names_of_one_issuer() -> None:
    """A token may carry any of them; the first is minted, and nothing else passes."""  # S55
    key = Key.generate("ES256")
    config = named(GOOGLE, key)
    assert tuple(GOOGLE) == config.issuer
    assert GOOGLE[0] == verify_token(create_access_token("alice", config), config).issuer
    for name in GOOGLE:
        assert name == verify_token(create_access_token("alice", named(name, key)), config).issuer
    for name in ("http://accounts.google.com", "https://accounts.google.com/", "google.com", "ACCOUNTS.GOOGLE.COM"):
        with pytest.raises(WrongIssuerError):
            verify_token(create_access_token("alice", named(name, key)), config)
    assert "https://a.example" == config.replace(issuer=["https://a.example"]).issuer


async def test_the_names_of_one_issuer_have_the_same_users() -> None:
    """A revocation of alice, of her session and of a token counts for the tokens of both names."""
    key = Key.generate("ES256")
    config = named(GOOGLE, key)
    for name in GOOGLE:
        store = MemoryStore(clock=lambda: NOW)
        token = verify_token(create_access_token("alice", named(name, key)), config)
        other = verify_token(create_access_token("alice", named(GOOGLE[0], key)), config)
        await revoke_identity("alice", config, store, issuer=name)
        assert await store.check(token, config)
        assert await store.check(other, config)
    with pytest.raises(SettingError, match="which is not that of the configuration"):
        await revoke_identity("alice", config, MemoryStore(), issuer="https://b.example")


async def test_names_are_found_through_the_metadata_of_the_first() -> None:
    """`for_issuer` and the environment discover keys under the first name; the environment divides names by commas."""
    for config in (
        JWTConfig.for_issuer(iter(GOOGLE), audience="api"),
        JWTConfig.from_env(environ={"JWT_JWKS": "discover", "JWT_ISSUER": ", ".join(GOOGLE), "JWT_AUDIENCE": "api"}),
    ):
        assert tuple(GOOGLE) == config.issuer
        assert GOOGLE[0] == config.jwks.issuer  # type: ignore[union-attr]  # a RemoteKeySet
    with pytest.raises(SettingError, match="give either the url of a JWK Set"):
        JWTConfig.for_issuer([], audience="api")
    for number in (7, 1.5, b"https://a.example"):
        with pytest.raises(SettingError, match="the issuer is not a str"):
            JWTConfig.for_issuer(number, audience="api")  # type: ignore[arg-type]  # as a caller might


# Revocations of tenants ------------------------------------------------------------------------------------------------


async def test_revoking_alice_of_one_tenant_leaves_the_others() -> None:
    """By identity, by session and by token: what is revoked for one tenant stays good for the same names of another."""  # S57
    provider = Provider()
    config = of_tenants(provider, {"acme", "other"})
    for revoke in ("identity", "session", "token"):
        store = MemoryStore(clock=lambda: NOW)
        session = {"sid": "s1", "jti": "1"}
        tokens = {
            tenant: await verify_token_async(token_of(provider, tenant, **session), config)
            for tenant in ("acme", "other")
        }
        if revoke == "identity":
            await revoke_identity("alice", config, store, issuer=issuer("acme"))
        elif revoke == "session":
            await revoke_session("s1", config, store, issuer=issuer("acme"))
        else:
            await revoke_token(tokens["acme"], config, store)
        assert [True, False] == [await store.check(tokens[tenant], config) for tenant in ("acme", "other")]


async def test_a_revocation_must_say_of_which_tenant() -> None:
    """Without the issuer, or with one that does not fit, a revocation would hit nobody or everybody: it is refused."""
    config, store = of_tenants(Provider(), {"acme"}), MemoryStore()
    for wrong in (None, "https://b.example", issuer(".."), 7):
        for revoke in (
            lambda: revoke_identity("alice", config, store, issuer=wrong),  # noqa: B023 -- called at once
            lambda: revoke_session("s1", config, store, issuer=wrong),  # type: ignore[arg-type]  # noqa: B023
        ):
            with pytest.raises(SettingError, match=r"say whose tokens are meant, with issuer=token\.issuer"):
                await revoke()
    assert [] == await list_sessions("alice", config, store)
    # One that is no longer allowed can still be revoked.
    await revoke_identity("alice", config, store, issuer=issuer("former"))


async def test_events_and_refusals_name_the_tenant() -> None:
    """A revocation tells the issuer of the token, and a revoked token of a tenant is refused by the middleware."""
    provider, told = Provider(), list[AuthEvent]()
    config = of_tenants(provider, {"acme", "other"}).replace(on_event=told.append)
    store = MemoryStore(clock=lambda: NOW)
    app = JWTMiddleware(Recorder(), config, store=store)
    raws = {tenant: token_of(provider, tenant) for tenant in ("acme", "other")}
    assert [200, 200] == [(await ask(app, "/", bearer(raw))).status for raw in raws.values()]
    await revoke_identity("alice", config, store, issuer=issuer("acme"))
    assert [401, 200] == [(await ask(app, "/", bearer(raw))).status for raw in raws.values()]
    assert [("revoked", issuer("acme")), ("refused", issuer("acme"))] == [(event.name, event.issuer) for event in told]
