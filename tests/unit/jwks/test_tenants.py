"""`TenantKeySets`: a set of keys for each tenant, of which only so many are kept, and none is fetched twice."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asgi_jwt_claims import IssuerTemplate, JWTConfig, JWTMiddleware, Key, TokenError, verify_token, verify_token_async
from asgi_jwt_claims.config import issuer_template
from asgi_jwt_claims.errors import KeysUnavailableError, SettingError
from asgi_jwt_claims.jwks import FetchPolicy, FetchResponse, RemoteKeySet, TenantKeySets, tenants
from tests.conftest import NOW
from tests.forging import b64
from tests.raw_asgi import Recorder, ask, bearer
from tests.unit.jwks.provider import MovingClock
from tests.unit.jwks.test_remote import together, until

pytestmark = pytest.mark.anyio

KEY, OTHER = Key.generate("ES256", kid="k"), Key.generate("ES256", kid="k")


def issuer(tenant: str) -> str:
    return f"https://{tenant}.example"


def token_of(tenant: str, key: Key = KEY, kid: str = "k", **claims: Any) -> str:
    header = b64(json.dumps({"alg": "ES256", "kid": kid}).encode())
    payload = {"iss": issuer(tenant), "sub": "alice", "aud": "api", "iat": NOW, "exp": NOW + 60, **claims}
    text = header + b"." + b64(json.dumps(payload).encode())
    return (text + b"." + b64(key.sign(text))).decode()


class Tenants:
    """Publishes the key of each tenant, and counts who was asked for it."""

    def __init__(self, allow: Any = lambda tenant: tenant != "mallory", **options: Any) -> None:
        self.fetched: list[str] = []
        self.keys = {"other": OTHER}
        self.delay = 0.0
        self.sets = TenantKeySets(lambda name: RemoteKeySet(f"{name}/jwks", fetch=self), **options)
        template = IssuerTemplate("https://{tenant}.example", allow=allow)
        self.config = JWTConfig.for_issuer(template, audience="api", jwks=self.sets, clock=lambda: NOW)

    async def __call__(self, url: str, *, max_size: int) -> FetchResponse:
        self.fetched.append(url)
        await anyio.sleep(self.delay)
        tenant = url.removeprefix("https://").partition(".")[0]
        return FetchResponse(200, {}, json.dumps({"keys": [self.keys.get(tenant, KEY).public_jwk()]}).encode())

    def share(self) -> IssuerTemplate:
        """Let all tenants have one set of keys, and all names be allowed."""
        template = IssuerTemplate("https://{tenant}.example", allow=lambda tenant: True)
        shared = RemoteKeySet("https://login.example/jwks", fetch=self)
        self.config = JWTConfig.for_issuer(template, audience="api", jwks=shared, clock=lambda: NOW)
        return template

    async def verdict(self, raw: str) -> str:
        """The issuer of an accepted token, else the code of the refusal."""
        try:
            return str((await verify_token_async(raw, self.config)).issuer)
        except TokenError as error:
            return error.code


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> MovingClock:
    """The clock by which sets are kept."""
    clock = MovingClock()
    monkeypatch.setattr(tenants, "time", SimpleNamespace(monotonic=clock))
    return clock


async def test_each_tenant_has_its_own_keys() -> None:
    """A token is verified by the keys of the tenant that it names; those of another one are of no use, under the same kid."""  # S45
    of = Tenants()
    for _ in range(3):
        assert issuer("acme") == await of.verdict(token_of("acme"))
        assert issuer("other") == await of.verdict(token_of("other", OTHER))
        assert "invalid_signature" == await of.verdict(token_of("other"))
        assert "invalid_signature" == await of.verdict(token_of("acme", OTHER))
    assert ["https://acme.example/jwks", "https://other.example/jwks"] == of.fetched
    assert {issuer("acme"), issuer("other")} == set(of.sets.sets)
    assert "<TenantKeySets of 2 tenants>" == repr(of.sets)


async def test_a_token_is_remembered_with_the_keys_of_its_tenant() -> None:
    """A remembered token stays remembered while tokens of other tenants come, and is verified anew if its keys change."""  # S105
    of = Tenants()
    cache = of.config._prepared.token_cache
    raws = [token_of("acme"), token_of("other", OTHER)]
    for raw in raws * 3:
        await of.verdict(raw)
    assert 2 == len(cache)
    keys = of.sets.of(issuer("acme")).keys
    assert cache.find(raws[0].encode(), keys) is not None
    assert cache.find(raws[0].encode(), of.sets.of(issuer("other")).keys) is None
    assert cache.find(raws[0].encode(), keys) is not None
    of.keys["acme"] = OTHER
    await of.sets.of(issuer("acme")).fetch_now()  # type: ignore[attr-defined]  # a RemoteKeySet
    assert "invalid_signature" == await of.verdict(raws[0])
    assert issuer("acme") == await of.verdict(token_of("acme", OTHER))
    assert issuer("other") == await of.verdict(raws[1])


async def test_a_token_with_the_hash_of_another_has_no_keys_of_that_one() -> None:
    """A tenant that finds two tokens with one hash of Python's (PYTHONHASHSEED may be known) signs for no other tenant."""
    of = Tenants()
    await of.verdict(token_of("acme"))
    forged = token_of("other")
    of.sets.issuer_cache[hash(forged.encode())] = issuer("acme")
    for _ in range(3):
        assert "invalid_issuer" == await of.verdict(forged)


@pytest.mark.parametrize(
    "tenant", ["mallory", "a.b/c", "%2e", "evil.com%23", "a@b", "localhost:1", "a\\\\b", "x?y", "x#y"]
)
async def test_a_forged_token_of_a_foreign_tenant_causes_no_set_and_no_fetch(tenant: str) -> None:
    """What is not allowed, and what no tenant can be called, leads to no address."""  # S99
    of = Tenants()
    assert "invalid_issuer" == await of.verdict(token_of(tenant))
    assert "invalid_issuer" == await of.verdict(token_of(tenant, kid="unknown"))
    assert 401 == (await ask(JWTMiddleware(Recorder(), of.config), "/", bearer(token_of(tenant)))).status
    assert ([], {}) == (of.fetched, of.sets.sets)


@pytest.mark.parametrize("raw", ["a.b.c", "e30.e30.AAAA", "e30.bm90IEpTT04.AAAA", token_of("acme", iss=7)])
async def test_a_token_without_an_issuer_leads_nowhere(raw: str) -> None:
    """The issuer has to be there, a string, in a token; else the token is refused before anything is asked."""
    of = Tenants()
    assert 401 == (await ask(JWTMiddleware(Recorder(), of.config), "/", bearer(raw))).status
    assert await of.verdict(raw) in ("token_malformed", "missing_claim", "invalid_claim")
    assert [] == of.fetched


async def test_a_hundred_cold_requests_of_a_tenant_make_one_fetch() -> None:
    """The first tokens of a tenant share a set and its fetch, also if a function has to be waited for."""  # S89

    async def allow(tenant: str) -> bool:
        await anyio.lowlevel.checkpoint()
        return True

    of = Tenants(allow)
    of.delay = 0.05
    seen = await together(
        *(lambda: of.verdict(token_of("acme")) for _ in range(50)),
        *(lambda: of.verdict(token_of("b")) for _ in range(50)),
    )
    assert [issuer("acme")] * 50 + [issuer("b")] * 50 == seen
    assert ["https://acme.example/jwks", "https://b.example/jwks"] == sorted(of.fetched)


async def test_the_middleware_fetches_for_each_tenant() -> None:
    """The first request of a tenant waits for its keys, as one of two configurations too; unknown keys are looked for."""
    of = Tenants()
    own = JWTConfig(secret_key="s" * 40, issuer="https://own.invalid")
    for app in (JWTMiddleware(Recorder(), of.config), JWTMiddleware(Recorder(), [own, of.config])):
        for tenant, key in (("acme", KEY), ("other", OTHER), ("acme", KEY), ("acme", KEY)):
            assert 200 == (await ask(app, "/", bearer(token_of(tenant, key)))).status
    assert 2 == len(of.fetched)
    assert 401 == (await ask(app, "/", bearer(token_of("acme", kid="unknown")))).status
    assert 3 == len(of.fetched)


async def test_keys_are_refreshed_by_the_tokens_of_their_tenant() -> None:
    """A good token starts the fetch of its own tenant's set when that is due, in the background."""
    of, clock = Tenants(), MovingClock()
    of.sets._key_set = lambda name: RemoteKeySet(
        f"{name}/jwks", fetch=of, monotonic=clock, policy=FetchPolicy(ttl=60, min_ttl=60)
    )
    await of.verdict(token_of("acme"))
    await of.verdict(token_of("b"))
    clock.advance(59)
    await ask(JWTMiddleware(Recorder(), of.config), "/", bearer(token_of("acme")))
    await until(lambda: len(of.fetched) == 3)
    assert "https://acme.example/jwks" == of.fetched[-1]
    of.sets.refresh_if_due(issuer("nobody-knows"))
    of.sets.refresh_if_due()
    assert 3 == len(of.fetched)


async def test_without_waiting_there_are_no_keys() -> None:
    """`verify_token` refuses a tenant whose keys have not been fetched, with 503; `config.keys` has none for all tenants."""
    of = Tenants()
    with pytest.raises(KeysUnavailableError):
        verify_token(token_of("acme"), of.config)
    with pytest.raises(KeysUnavailableError):
        _ = of.config.keys
    await of.verdict(token_of("acme"))
    assert "alice" == verify_token(token_of("acme"), of.config).identity


async def test_tenants_at_work_keep_their_keys(monotonic: MovingClock) -> None:
    """With `max_sets`, the set without a good token for the longest time gives way, but not within a minute of one."""  # S91
    of = Tenants(max_sets=2)
    assert issuer("a") == await of.verdict(token_of("a"))
    monotonic.advance(30)
    assert issuer("b") == await of.verdict(token_of("b"))
    assert "keys_unavailable" == await of.verdict(token_of("c"))
    response = await ask(JWTMiddleware(Recorder(), of.config), "/", bearer(token_of("c")))
    assert (503, "30") == (response.status, response.headers["retry-after"])
    monotonic.advance(29)
    assert issuer("a") == await of.verdict(token_of("a"))  # which is used now, and b no longer
    monotonic.advance(31)
    assert issuer("c") == await of.verdict(token_of("c"))
    assert [issuer("a"), issuer("c")] == list(of.sets.sets)
    assert ["a", "b", "c"] == [url.removeprefix("https://")[0] for url in of.fetched]


async def test_forged_tokens_of_many_allowed_tenants_are_bounded(monotonic: MovingClock) -> None:
    """Tokens that nobody signed cause at most `max_sets` fetches in a minute, and take no set from a tenant at work."""  # S91
    of = Tenants(max_sets=8)
    for minute in range(3):
        assert issuer("acme") == await of.verdict(token_of("acme"))
        for number in range(100):
            assert await of.verdict(token_of(f"t{minute}-{number}", OTHER)) in ("invalid_signature", "keys_unavailable")
        assert 8 + 7 * minute >= len(of.fetched)
        assert 8 == len(of.sets.sets)
        monotonic.advance(59)
        assert issuer("acme") == await of.verdict(token_of("acme"))
        monotonic.advance(1)
    assert 1 == of.fetched.count("https://acme.example/jwks")


async def test_a_set_that_cannot_be_made(caplog: pytest.LogCaptureFixture) -> None:
    """If the function fails for a tenant or returns something else, its tokens are answered with 503, and the log says why."""
    of = Tenants()
    make = of.sets._key_set

    def fail(name: str) -> Any:
        if "acme" in name:
            raise LookupError("no such tenant")
        return None if "none" in name else make(name)

    of.sets._key_set = fail
    assert "keys_unavailable" == await of.verdict(token_of("acme"))
    assert "keys_unavailable" == await of.verdict(token_of("none"))
    assert issuer("b") == await of.verdict(token_of("b"))
    assert 2 == caplog.text.count("no key set could be made for an issuer")


async def test_issuers_of_tokens_are_remembered_in_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only verified tokens are remembered, and no more than there is room for; one remembered wrongly is only refused."""
    monkeypatch.setattr(tenants, "_MAX_ISSUERS", 3)
    of = Tenants()
    for number in range(10):
        await of.verdict(token_of("acme", jti=str(number)))
        await of.verdict(token_of("acme", OTHER, jti=str(number)))
        assert 1 <= len(of.sets.issuer_cache) <= 3
    await of.verdict(token_of("other", OTHER))
    raw = token_of("acme")
    of.sets.remember(raw.encode(), issuer("other"))
    assert "invalid_signature" == await of.verdict(raw)


async def test_discovery_at_each_tenant() -> None:
    """Without a function, the keys are found through the metadata of each tenant; `for_issuer` does so by itself."""
    template = IssuerTemplate("https://{tenant}.example", allow={"acme"})
    config = JWTConfig.for_issuer(template, audience="api")
    assert isinstance(config.jwks, TenantKeySets)
    made = config.jwks.make(issuer("acme"))
    assert isinstance(made, RemoteKeySet)
    assert issuer("acme") == made.issuer


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"key_set": "https://a.example/jwks"}, "key_set must be a function that makes the key set of an issuer"),
        ({"max_sets": 0}, "max_sets must be an int of 1 or more, not 0"),
        ({"max_sets": True}, "max_sets must be an int of 1 or more, not True"),
    ],
)
def test_what_cannot_be_used_is_refused_when_built(arguments: dict[str, Any], match: str) -> None:
    """The message says what to write instead."""
    with pytest.raises(SettingError, match=match):
        TenantKeySets(**arguments)


async def test_tenants_with_one_set_of_keys_make_one_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one set of keys for all there is one fetch, and of the answers about tenants the newest are kept."""
    monkeypatch.setattr(issuer_template, "_MAX_ALLOWED", 10)
    of = Tenants()
    template = of.share()
    for number in range(30):
        assert issuer(f"t{number}") == await of.verdict(token_of(f"t{number}"))
    assert ["https://login.example/jwks"] == of.fetched
    assert [issuer(f"t{number}") for number in range(20, 30)] == list(template._allowed)


async def test_sets_of_many_tenants_are_no_more_than_max_sets(monotonic: MovingClock) -> None:
    """With a set for each tenant, tenants beyond `max_sets` replace those that are no longer at work."""
    of = Tenants(max_sets=5)
    for start in range(0, 30, 5):
        monotonic.advance(60)
        for number in range(start, start + 5):
            assert issuer(f"t{number}") == await of.verdict(token_of(f"t{number}"))
    assert 30 == len(of.fetched) == len(set(of.fetched))
    assert [issuer(f"t{number}") for number in range(25, 30)] == list(of.sets.sets)
