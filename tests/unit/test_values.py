"""Subclasses of str, int and float count as the characters or the number that they hold: in tokens, settings, rules."""

from __future__ import annotations

import base64
import dataclasses
import enum
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_jwt_claims import (
    JWTConfig,
    Key,
    KeySet,
    TokenCookies,
    create_access_token,
    create_refresh_token,
    create_token_pair,
    set_token_cookies,
    verify_token,
)
from asgi_jwt_claims.access import AccessPolicy
from asgi_jwt_claims.auth.paths.exempt import Exemptions
from asgi_jwt_claims.errors import (
    MintingError,
    MissingTokenError,
    RoleRefusedError,
    SettingError,
    WrongClientError,
)
from asgi_jwt_claims.jose.strict_json import MAX_SAFE_INTEGER
from asgi_jwt_claims.jwks import RemoteKeySet
from asgi_jwt_claims.keys import KeyRing
from asgi_jwt_claims.responses import ErrorResponder
from asgi_jwt_claims.runtime.durations import as_duration
from asgi_jwt_claims.runtime.values import plain
from asgi_jwt_claims.sessions import (
    RefreshedClaims,
    list_sessions,
    revoke_session,
    rotate_refresh_token,
    start_session,
)
from asgi_jwt_claims.sources import BearerHeader, InsecureWebSocketQuery, WebSocketProtocol
from asgi_jwt_claims.stores import MemoryStore
from asgi_jwt_claims.tokens.minted_claims import check_identity, json_copy, scope_text
from tests.conftest import HeldClock
from tests.raw_asgi import http_scope
from tests.support import SECRET, for_each


class Text(str):
    """A str that says something else about itself in every way that it can."""

    __slots__ = ()

    def __str__(self) -> str:
        return "something else"

    __repr__ = __str__

    def __format__(self, _: str) -> str:
        return "something else"

    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 7

    def __len__(self) -> int:
        return 0

    def isascii(self) -> bool:
        return True

    def isprintable(self) -> bool:
        return False

    def encode(self, *_: object) -> bytes:
        return b"something else"

    def split(self, *_: object) -> Any:
        return ["something", "else"]

    def lower(self) -> str:
        return "something else"


class Whole(int):
    """An int that says something else about itself."""

    def __int__(self) -> int:
        return 7

    __index__ = __abs__ = __int__

    def __str__(self) -> str:
        return "7"

    __repr__ = __str__

    def __mul__(self, other: object) -> Any:
        return 7


class Fraction(float):
    """A float that says something else about itself."""

    def __float__(self) -> float:
        return 7.5

    def __str__(self) -> str:
        return "7.5"

    __repr__ = __str__


class Role(str, enum.Enum):  # noqa: UP042 -- a StrEnum has the str() that this one lacks
    ADMIN = "admin"
    BANNED = "banned"


class Client(str, enum.Enum):  # noqa: UP042 -- as above
    SHOP = "shop"


class Level(int, enum.Enum):
    HIGH = 3


def dressed(value: Any) -> Any:
    """The same JSON value, with a subclass in every place of a str, an int or a float."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, dict):
        return {Text(name): dressed(member) for name, member in value.items()}
    if isinstance(value, list):
        return [dressed(member) for member in value]
    kinds: dict[type, Any] = {str: Text, int: Whole, float: Fraction}
    return kinds[type(value)](value)


def arguments(values: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a function, dressed; their names are Python's."""
    return {name: dressed(value) for name, value in values.items()}


def exact(value: Any) -> Any:
    """A JSON value beside the types of all its parts, since `Text("a")` could pass for "a"."""
    if isinstance(value, dict):
        return [(type(name), str.__str__(name), exact(member)) for name, member in value.items()]
    if isinstance(value, list | tuple):
        return [exact(member) for member in value]
    return type(value), value


CONFIG = JWTConfig(secret_key=SECRET, clock=HeldClock())
OTHER_IDENTITY = CONFIG.replace(identity_claim="user")
FLAT = CONFIG.replace(user_claims_claim=None)

WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
SCOPES = st.text(st.sampled_from("abc:/."), min_size=1, max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.text(st.characters(codec="utf-8"), max_size=8)
    | st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3))
OBJECTS = st.dictionaries(WORDS, VALUES, max_size=3)


def parts(raw: str) -> list[dict[str, Any]]:
    """Header and claims, read without this library, less what differs from token to token."""
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in raw.split(".")[:2])
    claims.pop("jti")
    return [header, claims]


@given(VALUES)
def test_any_json_is_copied_plain(value: Any) -> None:
    """Every part of a JSON value, names included, is copied as the characters or the number that it holds."""
    assert exact(value) == exact(json_copy(dressed(value), "the value"))


@given(WORDS, VALUES.filter(lambda value: value is not None and value != ""), OBJECTS, WORDS, WORDS, OBJECTS)
def test_a_token_says_what_its_values_hold(
    identity: str, other: Any, user_claims: Any, audience: str, role: str, headers: Any
) -> None:
    """A token made of subclasses is the token made of the plain values, in each argument."""
    headers = {f"x-{name}": value for name, value in headers.items()}
    for several in (False, True):
        said = {
            "user_claims": user_claims,
            "roles": [role, "b"] if several else role,
            "audience": [audience, "b"] if several else audience,
            "headers": headers,
        }
        for config, who in ((CONFIG, identity), (OTHER_IDENTITY, other)):
            for create in (create_access_token, create_refresh_token):
                given_plain = create(who, config, **said)
                given_dressed = create(dressed(who), config, **arguments(said))
                assert exact(parts(given_plain)) == exact(parts(given_dressed))


@given(st.lists(SCOPES, min_size=1, max_size=3))
def test_scopes_are_their_characters(scopes: list[str]) -> None:
    """One text of scopes and several scopes are written alike, in a token and in a rule."""
    for given_scopes in (Text(" ".join(scopes)), [Text(scope) for scope in scopes]):
        assert exact(" ".join(scopes)) == exact(scope_text(given_scopes))
        assert " ".join(dict.fromkeys(scopes)) == " ".join(AccessPolicy(scopes=given_scopes).scopes)
        pair = create_token_pair("alice", CONFIG, scope=given_scopes)
        assert exact(" ".join(scopes)) == exact(pair.scope)


def test_flat_claims_cannot_hide_a_registered_name() -> None:
    """A name with a hash of its own is compared by its characters: it takes no place of a registered claim."""
    with pytest.raises(MintingError, match="sub"):
        create_access_token("alice", FLAT, user_claims={Text("sub"): "root"})
    with pytest.raises(MintingError, match="headers must not set alg"):
        create_access_token("alice", CONFIG, headers={Text("alg"): "none"})
    assert {"plan": "free"} == verify_token(
        create_access_token("alice", FLAT, user_claims={Text("plan"): Text("free")}), FLAT
    ).user_claims


def test_two_names_with_the_same_characters_are_refused() -> None:
    """Two names that a subclass keeps apart would be one in the token, and one value would be lost."""
    with pytest.raises(MintingError, match="two names that are the same characters"):
        create_access_token("alice", CONFIG, user_claims={"a": {Text("b"): 1, "b": 2}})


@pytest.mark.parametrize(
    "value",
    [Whole(MAX_SAFE_INTEGER + 1), Whole(-MAX_SAFE_INTEGER - 1), Fraction("nan"), Fraction("inf"), Text("\ud800")],
)
def test_what_a_subclass_holds_is_what_is_checked(value: Any) -> None:
    """A number out of range, NaN, and half of a surrogate pair are refused in a subclass too."""
    with pytest.raises(MintingError):
        json_copy([value], "the value")


# S57
@pytest.mark.parametrize(
    ("identity", "claim", "expected"),
    [
        (Text("alice"), "sub", "alice"),
        (Role.ADMIN, "sub", "admin"),
        (Level.HIGH, "user", 3),
        (False, "user", False),
        ({Role.ADMIN: [Level.HIGH]}, "user", {"admin": [3]}),
    ],
)
def test_an_identity_is_what_it_holds(identity: Any, claim: str, expected: Any) -> None:
    """The function that decides about identities returns the plain value, which the token then has."""
    assert exact(expected) == exact(check_identity(identity, claim))
    config = CONFIG.replace(identity_claim=claim)
    assert exact(expected) == exact(verify_token(create_access_token(identity, config), config).identity)


# S57
@pytest.mark.parametrize(
    ("identity", "claim", "said"),
    [
        (None, "sub", "must not be None"),
        (None, "user", "must not be None"),
        ("", "sub", "must not be ''"),
        (Text(""), "user", "must not be ''"),
        (7, "sub", "must be a str, not int"),
        (True, "sub", "must be a str, not bool"),
        (b"alice", "user", "type bytes"),
    ],
)
def test_what_is_no_identity_is_refused_with_the_reason(identity: Any, claim: str, said: str) -> None:
    """None and "" are never an identity, `sub` is a str, and any other claim is JSON."""
    with pytest.raises(MintingError, match=said):
        check_identity(identity, claim)


def test_a_bool_stays_a_bool() -> None:
    """True is an int to Python and no number to JSON."""
    assert exact([True, 1, 1.5, "a", None, b"a"]) == exact(
        [plain(value) for value in (True, Whole(1), Fraction(1.5), Text("a"), None, b"a")]
    )


# Rules ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spell", [str, Text, lambda word: {"admin": Role.ADMIN, "banned": Role.BANNED}[word]])
@pytest.mark.parametrize("write", [str, Text, lambda word: {"admin": Role.ADMIN, "banned": Role.BANNED}[word]])
def test_rules_and_roles_agree(spell: Any, write: Any) -> None:
    """A role is the same role in the token, in `allow` and in `deny`, in any spelling of either."""
    for several in (False, True):

        def form(role: Any, several: bool = several) -> Any:
            return [role] if several else role

        admin, banned = (
            verify_token(create_access_token("alice", CONFIG, roles=form(write(role))), CONFIG)
            for role in ("admin", "banned")
        )
        AccessPolicy(allow=form(spell("admin"))).check(admin)
        AccessPolicy(deny=form(spell("banned"))).check(admin)
        for rule in (AccessPolicy(allow=form(spell("admin"))), AccessPolicy(deny=form(spell("banned")))):
            with pytest.raises(RoleRefusedError):
                rule.check(banned)


def test_rules_of_subclasses_are_equal_rules() -> None:
    """Rules are compared by their characters, and the type of token is one of them."""
    words = {"type": "refresh", "allow": ["a"], "deny": "b", "scopes": "c d"}
    assert AccessPolicy(**words) == AccessPolicy(**arguments(words))
    assert hash(AccessPolicy(**words)) == hash(AccessPolicy(**arguments(words)))
    AccessPolicy(type=Text("refresh")).check(
        verify_token(create_refresh_token("alice", CONFIG), CONFIG, type="refresh")
    )
    assert AccessPolicy(scopes=["c", "d"]) == AccessPolicy(scopes="c").with_scopes([Text("d")])


@pytest.mark.parametrize("rules", [{"allow": Text("")}, {"deny": [Text("")]}, {"allow": [["a"]]}, {"type": Text("")}])
def test_rules_that_say_nothing_are_refused(rules: Any) -> None:
    """An empty name, and what is no name, is refused in a subclass too."""
    with pytest.raises(SettingError):
        AccessPolicy(**rules)


# Settings -------------------------------------------------------------------------------------------------------------

SETTINGS: dict[str, Any] = {
    "secret_key": SECRET * 2,
    "algorithm": "HS512",
    "issuer": "https://issuer.example",
    "access_lifetime": 60,
    "refresh_lifetime": 600.5,
    "session_lifetime": 6000,
    "refresh_grace": 5,
    "leeway": 3.5,
    "max_age": 700,
    "max_lifetime": 700,
    "identity_claim": "user",
    "user_claims_claim": "own",
    "type_claim": "kind",
    "roles_claim": "groups",
    "scope_claim": "scp",
    "session_claim": "session",
    "required_claims": ["exp", "iat", "jti", "plan"],
    "max_token_size": 4096,
    "signature_cache_size": 5,
}


@pytest.mark.parametrize("audience", ["api", ["api", "web"]])
def test_settings_are_what_they_hold(audience: Any) -> None:
    """A configuration of subclasses is that of the plain values: each setting, what follows from it, and its tokens."""
    clock = HeldClock()
    settings = {**SETTINGS, "audience": audience, "required_claims": ["exp", "iat", "jti"]}
    plainly = JWTConfig(**settings, clock=clock)
    config = JWTConfig(**arguments(settings), clock=clock)
    skipped = {"signing_key", "clock", "key_source", "token_cache", "signer_cache"}
    for one, other in ((plainly, config), (plainly._prepared, config._prepared)):
        for name in (field.name for field in dataclasses.fields(one) if field.name not in skipped):
            assert exact(getattr(one, name)) == exact(getattr(other, name)), name
    assert exact([key.kid for key in plainly.keys]) == exact([key.kid for key in config.keys])
    assert exact([key.algorithm for key in plainly.keys]) == exact([key.algorithm for key in config.keys])
    raw = create_access_token("alice", plainly, roles="a", scope="b", user_claims={"c": 1})
    again = create_access_token("alice", config, roles="a", scope="b", user_claims={"c": 1})
    assert exact(parts(raw)) == exact(parts(again))
    for one, other in ((raw, config), (again, plainly)):
        token = verify_token(one, other)
        assert ("alice", {"a"}, {"b"}, {"c": 1}) == (token.identity, token.roles, token.scopes, token.user_claims)


@pytest.mark.parametrize("name", ["issuer", "audience", "identity_claim", "required_claims"])
def test_a_setting_that_no_token_can_carry_is_refused(name: str) -> None:
    """Half of a surrogate pair cannot be minted, so no party and no claim is called that."""
    value: Any = "a\ud800"
    with pytest.raises(SettingError, match=name):
        JWTConfig(secret_key=SECRET, **{name: [value] if name == "required_claims" else value})


@given(st.integers(1, 10**6) | st.floats(0.001, 10**6))
def test_a_duration_is_its_number(seconds: float) -> None:
    """Seconds of a subclass are as many seconds."""
    assert as_duration(seconds, "leeway") == as_duration(dressed(seconds), "leeway")


def test_cookies_are_called_what_their_names_hold() -> None:
    """Names, path and origins of cookies stand in the headers as their characters."""
    words: dict[str, Any] = {
        "access_name": "a",
        "refresh_name": "r",
        "csrf_name": "c",
        "refresh_path": "/there",
        "same_site": "Strict",
        "csrf_header": "X-C",
        "csrf_field": "f",
        "trusted_origins": ["https://app.example"],
    }
    cookies = TokenCookies(**arguments(words))
    assert exact(list(words.values())[:7]) == exact([getattr(cookies, name) for name in list(words)[:7]])
    assert TokenCookies(**words) == cookies
    headers: list[Any] = []
    set_token_cookies(headers, create_token_pair("alice", CONFIG), CONFIG.replace(cookies=cookies))
    assert [b"a", b"r", b"c"] == [value.partition(b"=")[0] for name, value in headers if name == b"set-cookie"]


def test_names_at_the_adapter_are_what_they_hold() -> None:
    """The realm of the challenge, exempt paths, and what a token is found by, are their characters."""
    answer = ErrorResponder(realm=Text("shop")).response_for(MissingTokenError())
    assert 'Bearer realm="shop"' == dict(answer.headers)["www-authenticate"]
    assert exact("bearer") == exact(WebSocketProtocol(Text("bearer")).name)
    assert BearerHeader("X-Token", "Key") == BearerHeader(Text("X-Token"), Text("Key"))
    exemptions = Exemptions([Text("/login"), Text("GET /docs/*")])
    opened = [http_scope(path) in exemptions for path in ("/login", "/docs/a", "/docs", "/x")]
    assert [True, True, False, False] == opened
    assert InsecureWebSocketQuery("jwt") == InsecureWebSocketQuery(Text("jwt"))


def test_keys_are_called_what_their_names_hold() -> None:
    """The `kid` of a key is its characters: in the key, in its token, in what is published, and when it is sought."""
    key = Key.generate("ES256", kid=Text("one"))
    assert exact(["one", "ES256"]) == exact([key.kid, key.algorithm])
    assert exact("one") == exact(key.public_jwk()["kid"])
    config = JWTConfig(signing_key=key, clock=HeldClock())
    raw = create_access_token("alice", config)
    assert exact("one") == exact(parts(raw)[0]["kid"])
    for document in (key.public_jwk(), {**key.public_jwk(), "key_ops": ["verify"]}):
        for keys in (KeySet([Key.from_jwk(dressed(document))]), KeySet.from_jwks(dressed({"keys": [document]}))):
            verifying = JWTConfig(verification_keys=keys, clock=config.clock)
            assert "alice" == verify_token(raw, verifying).identity
    secret = Key.from_secret(Text(SECRET), Text("HS256"))
    assert Key.from_secret(SECRET).kid == secret.kid


# Sessions -------------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_sessions_write_what_their_values_hold() -> None:
    """A session and its refreshes carry the client, the roles and the claims as their characters."""
    store = MemoryStore(clock=CONFIG.clock)
    pair = await start_session(
        "alice", CONFIG, store, roles=[Role.BANNED], user_claims={Role.ADMIN: Level.HIGH}, client_id=Client.SHOP
    )
    first = verify_token(pair.access_token, CONFIG)
    renewal = RefreshedClaims({Role.ADMIN: Text("x")}, [Role.ADMIN])
    pair = await rotate_refresh_token(
        pair.refresh_token, CONFIG, store, claims_loader=lambda _: renewal, client_id="shop"
    )
    second = verify_token(pair.access_token, CONFIG)
    assert ({"banned"}, {"admin": 3}, "shop") == (first.roles, first.user_claims, first.claims["client_id"])
    assert ({"admin"}, {"admin": "x"}, "shop") == (second.roles, second.user_claims, second.claims["client_id"])


@pytest.mark.anyio
async def test_a_client_that_no_token_can_carry_is_refused() -> None:
    """A client_id with half of a surrogate pair is an error of the setting, and no session begins."""
    store = MemoryStore(clock=CONFIG.clock)
    with pytest.raises(SettingError, match="client_id"):
        await start_session("alice", CONFIG, store, client_id="a\ud800")


def test_headers_that_are_no_mapping_are_refused() -> None:
    """Further header parameters are a mapping; anything else is an error of minting."""
    headers: Any = ["x"]
    with pytest.raises(MintingError, match="headers must be a mapping"):
        create_access_token("alice", CONFIG, headers=headers)


@for_each("value", [7, True, 1.5, object()])
@for_each("name", ["scope", "roles", "audience"])
@for_each("create", [create_access_token, create_refresh_token, create_token_pair])
def test_what_is_no_text_and_no_collection(create: Any, name: str, value: Any) -> None:
    """A scope, role or audience that is neither text nor a collection is refused by an error of the library."""
    with pytest.raises(MintingError, match=name):
        create("alice", JWTConfig(secret_key=SECRET), **{name: value})


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["scope", "roles", "audience"])
async def test_what_is_no_text_and_no_collection_in_a_login(name: str) -> None:
    """A login refuses it by the same error."""
    with pytest.raises(MintingError, match=name):
        await start_session("alice", JWTConfig(secret_key=SECRET), MemoryStore(), **{name: 7})  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_what_else_a_session_is_told(clock: HeldClock) -> None:
    """The label, the limit, the client and the session itself count as the characters or the number that they hold."""
    config, store = JWTConfig(secret_key=SECRET, clock=clock), MemoryStore(clock=clock)
    for _ in range(5):
        options: dict[str, Any] = {"label": Text("web"), "max_sessions": Level.HIGH, "client_id": Client.SHOP}
        pair = await start_session("alice", config, store, **options)
    pair = await rotate_refresh_token(pair.refresh_token, config, store, client_id=Text("shop"))
    sessions = await list_sessions("alice", config, store)
    assert [(str, "web")] * 3 == [(type(one.label), one.label) for one in sessions]
    assert 1 == await revoke_session(Text(verify_token(pair.access_token, config).session_id), config, store)


@pytest.mark.anyio
@pytest.mark.parametrize("client_id", [7, b"shop", ["shop"]])
async def test_a_client_that_is_no_text(client_id: Any, clock: HeldClock) -> None:
    """A client identifier of another type is the wrong client."""
    config, store = JWTConfig(secret_key=SECRET, clock=clock), MemoryStore(clock=clock)
    pair = await start_session("alice", config, store, client_id="shop")
    with pytest.raises(WrongClientError):
        await rotate_refresh_token(pair.refresh_token, config, store, client_id=client_id)


def test_keys_of_others_and_their_times() -> None:
    """Addresses, algorithms and times of keys count as the characters or the number that they hold."""
    keys = RemoteKeySet(issuer=Text("https://id.example"), algorithms=[Text("ES256")], fetch=print)  # type: ignore[arg-type]
    assert (str, "https://id.example") == (type(keys.issuer), keys.issuer)
    assert "<RemoteKeySet https://id.example new, 0 keys>" == repr(keys)
    key = Key.generate("ES256", kid="first")
    assert (("first", 3),) == KeyRing([(key, Level.HIGH)]).schedule


def test_a_secret_that_hides_itself() -> None:
    """An object that gives its text only when asked, as pydantic's secrets do, is that text."""

    class Hidden:
        def get_secret_value(self) -> str:
            return SECRET

    key = JWTConfig(secret_key=Hidden()).signing_key
    assert key is not None
    assert Key.from_secret(SECRET).kid == key.kid
