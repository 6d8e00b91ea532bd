"""Settings from the environment: those of cookies and of remote keys, files, hidden secrets, names of other libraries."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_jwt_claims import ConfigurationError, JWTConfig, Key, TokenCookies
from asgi_jwt_claims.config import _environment
from asgi_jwt_claims.errors import KeyConfigurationError, SettingError
from asgi_jwt_claims.introspection import Introspection
from asgi_jwt_claims.jwks import FetchPolicy, HTTPXFetch, RemoteKeySet
from tests.keys import make_key
from tests.support import SECRET, Hidden, for_each
from tests.unit.test_config import PRIVATE, pem

REMOTE = {"JWT_JWKS": "https://a.example/jwks", "JWT_ISSUER": "https://a.example", "JWT_AUDIENCE": "api"}
FIELDS = JWTConfig.__dataclass_fields__


def remote_keys(**options: str) -> RemoteKeySet:
    """The key set of a configuration with these further variables."""
    config = JWTConfig.from_env(
        environ={**REMOTE, **{f"JWT_JWKS_{name.upper()}": text for name, text in options.items()}}
    )
    assert isinstance(config.jwks, RemoteKeySet)
    return config.jwks


# Cookies and remote keys ----------------------------------------------------------------------------------------------


def test_the_settings_of_cookies() -> None:
    """Each argument of `TokenCookies` is a variable after `JWT_COOKIES_`."""
    environ = {
        "JWT_SECRET_KEY": SECRET,
        "JWT_COOKIES_ACCESS_NAME": "access",
        "JWT_COOKIES_REFRESH_NAME": "refresh",
        "JWT_COOKIES_CSRF_NAME": "csrf",
        "JWT_COOKIES_REFRESH_PATH": "/sessions",
        "JWT_COOKIES_SAME_SITE": "Strict",
        "JWT_COOKIES_SECURE": "false",
        "JWT_COOKIES_PARTITIONED": "false",
        "JWT_COOKIES_CSRF_HEADER": "X-Value",
        "JWT_COOKIES_CSRF_FIELD": "value",
        "JWT_COOKIES_TRUSTED_ORIGINS": "https://app.example, https://web.example",
    }
    assert JWTConfig.from_env(environ=environ).cookies == TokenCookies(
        access_name="access",
        refresh_name="refresh",
        csrf_name="csrf",
        refresh_path="/sessions",
        same_site="Strict",
        secure=False,
        partitioned=False,
        csrf_header="X-Value",
        csrf_field="value",
        trusted_origins=["https://app.example", "https://web.example"],
    )


def test_the_policy_of_remote_keys() -> None:
    """Each argument of `FetchPolicy` is a variable after `JWT_JWKS_`."""
    options: dict[str, Any] = {
        "ttl": 300.0,
        "min_ttl": 30.0,
        "max_ttl": 600.0,
        "jitter": 0.2,
        "refresh_ahead": 0.5,
        "max_stale": 0.0,
        "unknown_kid_interval": 5.0,
        "unknown_kid_burst": 3,
        "backoff": 2.0,
        "max_backoff": 9.0,
        "discovery_ttl": 60.0,
        "timeout": 2.5,
        "max_size": 4096,
        "max_keys": 8,
    }
    assert FetchPolicy(**options) == remote_keys(**{name: str(value) for name, value in options.items()}).policy
    assert FetchPolicy() == remote_keys().policy


def test_the_other_settings_of_remote_keys(tmp_path: Path) -> None:
    """Algorithms, hosts without TLS, a private authority, a proxy and headers can be set too."""
    keys = remote_keys(
        algorithms="ES256, RS256",
        proxy="http://proxy.example:3128",
        headers='{"Authorization": "Bearer abc"}',
    )
    fetch = keys._provider._fetch
    assert isinstance(fetch, HTTPXFetch)
    assert ("http://proxy.example:3128", {"authorization": "Bearer abc"}) == (fetch._proxy, fetch._headers)
    assert ("ES256", "RS256") == keys._provider._algorithms
    for environ in (
        {"JWT_JWKS": "http://keycloak/jwks", "JWT_JWKS_INSECURE_HTTP_HOSTS": "keycloak,sso"},
        {"JWT_JWKS": "http://127.0.0.1/jwks", "JWT_JWKS_LOOPBACK_HTTP": "true"},
        {"JWT_JWKS": "discover", "JWT_ISSUER": "http://keycloak", "JWT_JWKS_INSECURE_HTTP_HOSTS": "keycloak"},
    ):
        assert JWTConfig.from_env(environ={**REMOTE, **environ}).is_remote
    with pytest.raises(SettingError, match=r"verify: '.*none' cannot be used: No such file or directory"):
        remote_keys(verify=str(tmp_path / "none"))


def test_the_secrets_of_a_fetch_may_stand_in_files(tmp_path: Path) -> None:
    """Headers and the URL of a proxy, which may hold a password, are read from files, and are no part of an error."""
    for name, text in (("headers", '{"Authorization": "Bearer abc"}\n'), ("proxy", "http://me:secret@proxy.example\n")):
        (tmp_path / name).write_text(text)
    files = {f"{name}_file": str(tmp_path / name) for name in ("headers", "proxy")}
    fetch = remote_keys(**files)._provider._fetch
    assert isinstance(fetch, HTTPXFetch)
    assert ("http://me:secret@proxy.example", {"authorization": "Bearer abc"}) == (fetch._proxy, fetch._headers)
    for text, match in (
        (b"secret", "^headers must be a mapping"),
        (b"\xff", "^JWT_JWKS_HEADERS_FILE must be the path of"),
    ):
        (tmp_path / "headers").write_bytes(text)
        with pytest.raises(SettingError, match=match) as refused:
            remote_keys(**files)
        assert "secret" not in str(refused.value)
    asked = {**OPAQUE, "JWT_INTROSPECTION_PROXY_FILE": str(tmp_path / "proxy")}
    introspection = JWTConfig.from_env(environ=asked).introspection
    assert introspection is not None
    assert "http://me:secret@proxy.example" == introspection._post.__self__._proxy  # type: ignore[attr-defined]


@for_each(
    ("environ", "match"),
    [
        ({"JWT_COOKIES": "x"}, "^JWT_COOKIES cannot be text; set its parts: JWT_COOKIES_SECURE"),
        ({"JWT_COOKIES_SECURE": "no"}, "^JWT_COOKIES_SECURE must be true or false"),
        (
            {"JWT_COOKIES": TokenCookies(), "JWT_COOKIES_SECURE": "true"},
            "^JWT_COOKIES and JWT_COOKIES_... are both set",
        ),
        ({"JWT_COOKIES_TRUSTED_ORIGINS": "app"}, "trusted_origins: 'app' is not an origin"),
        ({"JWT_COOKIE_SECURE": "true"}, r"^JWT_COOKIE_SECURE is not a setting; did you mean JWT_COOKIES_SECURE\?$"),
        ({"JWT_COOKIES_SECUR": "true"}, r"did you mean JWT_COOKIES_SECURE\?$"),
        ({"JWT_JWKS_TIMEOUT": "5"}, "^JWT_JWKS_... needs JWT_JWKS to be the URL of a JWK Set, or discover$"),
        (
            {"JWT_PROVIDER": "workos", "JWT_CLIENT_ID": "c", "JWT_JWKS": RemoteKeySet("https://a"), "JWT_JWKS_TTL": 9},
            "^JWT_JWKS_... needs JWT_JWKS to be the URL",
        ),
        ({**REMOTE, "JWT_JWKS_TIMEOUT": "soon"}, "^JWT_JWKS_TIMEOUT must be a number, not 'soon'$"),
        ({**REMOTE, "JWT_JWKS_TIMEOUT": "0"}, "timeout must be more than zero"),
        ({**REMOTE, "JWT_JWKS_MAX_KEYS": "1.5"}, "^JWT_JWKS_MAX_KEYS must be a number"),
        ({**REMOTE, "JWT_JWKS_JITTER": "x"}, "^JWT_JWKS_JITTER must be a number"),
        ({**REMOTE, "JWT_JWKS_ALGORITHMS": "HS256"}, "algorithms: 'HS256' is not one of"),
        ({**REMOTE, "JWT_JWKS_INSECURE_HTTP_HOSTS": "a.example"}, "insecure_http_hosts: 'a.example' is not a host"),
        ({**REMOTE, "JWT_JWKS_HEADERS": "Authorization: secret"}, "^headers must be a mapping or a function"),
        ({**REMOTE, "JWT_JWKS_HEADERS": '{"a": secret}'}, "^JWT_JWKS_HEADERS begins like JSON, and cannot be read"),
        ({"JWT_REQUIRED_CLAIMS": '{"repository": {}}'}, r"^required_claims\['repository'\] must be a str, a number"),
        ({"JWT_REQUIRED_CLAIMS": "{"}, "^JWT_REQUIRED_CLAIMS begins like JSON, and cannot be read as JSON"),
        ({"JWT_REQUIRED_CLAIMS": '{"a": [[]]}'}, "^JWT_REQUIRED_CLAIMS begins like JSON, and cannot be read as JSON"),
        ({"JWT_ROLES_CLAIM": "[" * 100_000}, "^JWT_ROLES_CLAIM begins like JSON, and cannot be read as JSON"),
    ],
)
def test_what_cannot_be_set_is_named(environ: dict[str, Any], match: str) -> None:
    """A part that is misspelt, has the wrong type or no effect is refused by the name of its variable or argument."""  # S150
    own = {} if "JWT_JWKS" in environ else {"JWT_SECRET_KEY": SECRET}
    with pytest.raises(SettingError, match=match) as refused:
        JWTConfig.from_mapping({**own, **environ})
    assert "secret" not in str(refused.value)


def test_the_algorithm_of_a_secret_says_nothing_of_other_keys() -> None:
    """`JWT_ALGORITHM` would have no effect beside the keys of a provider, so it is refused."""
    for settings in (REMOTE, OPAQUE, {"JWT_PROVIDER": "workos", "JWT_CLIENT_ID": "c"}):
        with pytest.raises(SettingError, match="cannot be combined with secret_key, algorithm"):
            JWTConfig.from_env(environ={**settings, "JWT_ALGORITHM": "RS256"})


# Introspection --------------------------------------------------------------------------------------------------------

OPAQUE = {
    "JWT_INTROSPECTION": "https://a.example/introspect",
    "JWT_INTROSPECTION_CLIENT_ID": "api",
    "JWT_INTROSPECTION_CLIENT_SECRET": "s3cr%t",
}


def test_the_settings_of_introspection(tmp_path: Path) -> None:
    """The arguments of `Introspection` are variables, and the other defaults are those of `for_introspection`."""
    secret = tmp_path / "secret"
    secret.write_text("s3cr%t\n")
    from_file = {name: text for name, text in OPAQUE.items() if not name.endswith("SECRET")}
    options = {"TTL": "30", "NEGATIVE_TTL": "0", "TIMEOUT": "2", "LOOPBACK_HTTP": "true", "PROXY": "http://p.internal"}
    expected = JWTConfig.for_introspection(Introspection(OPAQUE["JWT_INTROSPECTION"], ("api", "s3cr%t")))
    for environ in (
        OPAQUE,
        {**OPAQUE, "JWT_INTROSPECTION_CLIENT_SECRET": Hidden("s3cr%t")},
        {**from_file, "JWT_INTROSPECTION_CLIENT_SECRET_FILE": str(secret)},
        {**OPAQUE, **{f"JWT_INTROSPECTION_{name}": text for name, text in options.items()}},
        {"JWT_INTROSPECTION": expected.introspection},
    ):
        config = JWTConfig.from_mapping(environ)
        assert (None, None, ()) == (config.type_claim, config.user_claims_claim, config.required_claims)
        assert isinstance(config.introspection, Introspection)
        assert isinstance(expected.introspection, Introspection)
        assert expected.introspection._headers == config.introspection._headers
        assert "s3cr" not in repr(config)
    config = JWTConfig.from_mapping({**OPAQUE, "JWT_INTROSPECTION_TTL": "30", "JWT_TYPE_CLAIM": "kind"})
    assert isinstance(config.introspection, Introspection)
    assert (30, "kind") == (config.introspection._ttl, config.type_claim)


@for_each(
    ("environ", "match"),
    [
        ({"JWT_INTROSPECTION": "http://a.example/"}, "^the url is http"),
        ({"JWT_INTROSPECTION_CLIENT_SECRET": ""}, "^client must be the identifier and the secret of a client"),
        ({"JWT_INTROSPECTION_CLIENT_SECRET": None}, "^JWT_INTROSPECTION needs JWT_INTROSPECTION_CLIENT_ID and"),
        ({"JWT_INTROSPECTION": None}, "^JWT_INTROSPECTION_... needs JWT_INTROSPECTION to be the URL"),
        ({"JWT_INTROSPECTION_TTL": "4000"}, "^ttl must be at most 3600 seconds"),
        ({"JWT_INTROSPECTION_TIMEOUT": "soon"}, "^JWT_INTROSPECTION_TIMEOUT must be a number"),
        ({"JWT_INTROSPECTION_CLIENT": "api:s3cr%t"}, "^JWT_INTROSPECTION_CLIENT is not a setting; did you mean"),
        ({"JWT_SECRET_KEY": SECRET}, "^introspection cannot be combined with secret_key"),
        ({**REMOTE}, "^introspection cannot be combined with secret_key"),
        ({"JWT_PROVIDER": "apple", "JWT_AUDIENCE": "a", "JWT_ACCEPT_ID_TOKENS": "true"}, "^introspection cannot be"),
    ],
)
def test_introspection_that_cannot_be_set(environ: dict[str, Any], match: str) -> None:
    """A part that is missing, wrong or beside keys is refused, and no error shows the secret."""  # S150
    with pytest.raises(SettingError, match=match) as refused:
        JWTConfig.from_mapping({**OPAQUE, **environ})
    assert "s3cr" not in str(refused.value)


def test_the_secret_of_a_client_is_text(tmp_path: Path) -> None:
    """Random bytes cannot be sent, so a file with them is refused."""
    (tmp_path / "secret").write_bytes(b"\xff\xfe")
    environ = {**OPAQUE, "JWT_INTROSPECTION_CLIENT_SECRET_FILE": tmp_path / "secret"}
    del environ["JWT_INTROSPECTION_CLIENT_SECRET"]
    with pytest.raises(SettingError, match=r"^JWT_INTROSPECTION_CLIENT_SECRET_FILE must be the path of"):
        JWTConfig.from_mapping(environ)


# Lists, paths and demands ---------------------------------------------------------------------------------------------


@for_each(
    ("name", "text", "value"),
    [
        ("required_claims", "exp, tenant", ("exp", "tenant")),
        ("required_claims", '["exp", ["realm_access", "roles"]]', ["exp", ("realm_access", "roles")]),
        (
            "required_claims",
            '{"exp": null, "n": 3, "repository": ["a/b", "c/d"], "firebase": {"tenant": "t", "x": {"y": true}}}',
            {
                "exp": None,
                "n": 3,
                "repository": frozenset({"a/b", "c/d"}),
                ("firebase", "tenant"): "t",
                ("firebase", "x", "y"): True,
            },
        ),
        ("roles_claim", ' [["realm_access", "roles"], "groups"]', [("realm_access", "roles"), "groups"]),
        ("scope_claim", '["scope", "scp"]', ["scope", "scp"]),
        ("scope_claim", "scp", "scp"),
        ("audience", '["a,b", "c"]', ["a,b", "c"]),
        ("user_claims_claim", "[x]", "[x]"),
    ],
)
def test_lists_may_be_json(name: str, text: str, value: Any) -> None:
    """In JSON an inner list is a path, and an object of required claims demands their values."""
    settings, _ = _environment.read({f"JWT_{name.upper()}": text}, "JWT_", FIELDS, {})
    assert value == settings[name]


@given(st.sampled_from(["required_claims", "roles_claim", "audience", "jwks_headers"]), st.text(max_size=30))
def test_any_text_is_read_or_refused(name: str, text: str) -> None:
    """No text causes any other error than ours."""
    for written in (text, f"[{text}]", f'{{"a": {text}}}'):
        with contextlib.suppress(ConfigurationError):
            JWTConfig.from_mapping({**REMOTE, f"JWT_{name.upper()}": written})


# Files and hidden secrets ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_secret_from_a_file(end: str, tmp_path: Path) -> None:
    """The file that a container is given holds the secret; one line end after it does not belong to it."""
    path = tmp_path / "secret"
    path.write_bytes(f"{SECRET}{end}".encode())
    for given_path in (path, str(path)):
        config = JWTConfig.from_mapping({"JWT_SECRET_KEY_FILE": given_path, "JWT_ALGORITHM": "HS256"})
        assert JWTConfig(secret_key=SECRET).signing_key is not None
        assert config.signing_key is not None
        assert Key.from_secret(SECRET).kid == config.signing_key.kid


def test_random_bytes_from_a_file_are_not_shortened(tmp_path: Path) -> None:
    """In a secret that is no text, a last byte of ten is a part of it."""
    secret = b"\xff" + bytes(range(40, 80)) + b"\n"
    (tmp_path / "secret").write_bytes(secret)
    config = JWTConfig.from_mapping({"JWT_SECRET_KEY_FILE": tmp_path / "secret"})
    assert config.signing_key is not None
    assert Key.from_secret(secret).kid == config.signing_key.kid


def test_keys_from_files(tmp_path: Path) -> None:
    """A file has what the variable without `_FILE` would have: PEM, a JWK or a JWK Set."""
    private, public, document = (tmp_path / name for name in ("private.pem", "public.pem", "jwks.json"))
    private.write_text(pem(PRIVATE, private=True))
    public.write_text(pem(PRIVATE, private=False))
    document.write_text(json.dumps({"keys": [make_key("ES256", kid="old").public_jwk()]}))
    config = JWTConfig.from_env(
        environ={"JWT_SIGNING_KEY_FILE": str(private), "JWT_VERIFICATION_KEYS_FILE": str(document)}
    )
    assert [PRIVATE.algorithm, "ES256"] == [key.algorithm for key in config.keys]
    (key,) = JWTConfig.from_env(environ={"JWT_VERIFICATION_KEYS_FILE": str(public)}).keys
    assert PRIVATE.public_jwk()["kty"] == key.public_jwk()["kty"]


@for_each(
    ("environ", "match"),
    [
        ({"JWT_SECRET_KEY_FILE": "/nowhere/key"}, "^JWT_SECRET_KEY_FILE: '/nowhere/key' cannot be read: No such file"),
        ({"JWT_SECRET_KEY_FILE": "/"}, "^JWT_SECRET_KEY_FILE: '/' cannot be read: Is a directory"),
        ({"JWT_SECRET_KEY_FILE": "\x00"}, "^JWT_SECRET_KEY_FILE: .* cannot be read: not a path"),
        ({"JWT_SECRET_KEY_FILE": 7}, "^JWT_SECRET_KEY_FILE must be the path of a file, not int"),
        (
            {"JWT_SECRET_KEY": SECRET, "JWT_SECRET_KEY_FILE": "/"},
            "^JWT_SECRET_KEY and JWT_SECRET_KEY_FILE are both set",
        ),
        ({"JWT_ISSUER_FILE": "/"}, r"^JWT_ISSUER_FILE is not a setting; did you mean JWT_ISSUER\?"),
        ({"JWT_FILE": "/"}, "^JWT_FILE is not a setting"),
    ],
)
def test_a_file_that_cannot_be_used(environ: dict[str, Any], match: str) -> None:
    """The variable, the path and the reason of the system are named."""  # S150
    with pytest.raises(SettingError, match=match):
        JWTConfig.from_mapping(environ)


def test_a_file_without_end(tmp_path: Path) -> None:
    """No more than 1 MiB is read."""  # S150
    (tmp_path / "large").write_bytes(bytes(2**20 + 1))
    for path in ("/dev/zero", tmp_path / "large"):
        with pytest.raises(SettingError, match=r"^JWT_SECRET_KEY_FILE: '.*' is longer than 1048576 bytes"):
            JWTConfig.from_mapping({"JWT_SECRET_KEY_FILE": path})


def test_an_error_of_a_key_names_its_variable(tmp_path: Path) -> None:
    """A path in place of the text of a key, or a file without one, is refused by the name of the variable."""
    with pytest.raises(KeyConfigurationError) as caught:
        JWTConfig.from_env(environ={"JWT_SIGNING_KEY": "/etc/keys/private.pem"})
    assert str(caught.value).startswith("JWT_SIGNING_KEY: this is not PEM but looks like the name of a file")
    assert str(caught.value).endswith("for a file, set JWT_SIGNING_KEY_FILE to its path")
    assert caught.value.__context__ is None
    (tmp_path / "key").write_text("text")
    with pytest.raises(KeyConfigurationError, match=r"^JWT_VERIFICATION_KEYS_FILE: the key is not PEM") as caught:
        JWTConfig.from_mapping({"JWT_VERIFICATION_KEYS_FILE": tmp_path / "key"})
    assert "set JWT" not in str(caught.value)


def test_hidden_secrets() -> None:
    """Secrets that hide themselves are read wherever a secret, PEM text or a password may stand, and stay hidden."""
    for secret in (Hidden(SECRET), Hidden(SECRET.encode())):
        for config in (
            JWTConfig(secret_key=secret),
            JWTConfig.from_mapping({"JWT_SECRET_KEY": secret}),
            JWTConfig(signing_key=Key.from_secret(secret)),
        ):
            assert config.signing_key is not None
            assert Key.from_secret(SECRET).kid == config.signing_key.kid
            assert SECRET not in repr(config)
    text = Hidden(pem(PRIVATE, private=True))
    assert PRIVATE.public_jwk()["kty"] == Key.from_pem(text).public_jwk()["kty"]
    assert JWTConfig.from_mapping({"JWT_SIGNING_KEY": text}).signing_key is not None
    assert 1 == len(JWTConfig.from_mapping({"JWT_VERIFICATION_KEYS": [Hidden(pem(PRIVATE, private=False))]}).keys)
    with pytest.raises(KeyConfigurationError, match="the password do not go together"):
        Key.from_pem(text, password=Hidden("x"))
    with pytest.raises(KeyConfigurationError, match="needs at least 32"):
        JWTConfig(secret_key=Hidden("brief"))


def test_names_in_lower_case() -> None:
    """With a prefix in lower case, names may be in lower case too, as pydantic's settings have them."""
    mapping = {
        "jwt_secret_key": Hidden(SECRET),
        "jwt_issuer": "me",
        "jwt_cookies_same_site": "Strict",
        "debug": True,
    }
    config = JWTConfig.from_mapping(mapping, prefix="jwt_")
    assert ("me", "Strict") == (config.issuer, config.cookies.same_site)
    for prefix, name in (("JWT_", "JWT_issuer"), ("jwt_", "jwt_Issuer")):
        with pytest.raises(SettingError, match="is not a setting; did you mean"):
            JWTConfig.from_mapping({name: "me"}, prefix=prefix)


# Names of other libraries ---------------------------------------------------------------------------------------------

FLASK_JWT_EXTENDED = re.findall(
    r"\S+",
    """
ACCESS_COOKIE_NAME ACCESS_COOKIE_PATH ACCESS_CSRF_COOKIE_NAME ACCESS_CSRF_COOKIE_PATH ACCESS_CSRF_FIELD_NAME
ACCESS_CSRF_HEADER_NAME ACCESS_TOKEN_EXPIRES COOKIE_CSRF_PROTECT COOKIE_DOMAIN COOKIE_SAMESITE COOKIE_SECURE
CSRF_CHECK_FORM CSRF_IN_COOKIES CSRF_METHODS DECODE_ALGORITHMS DECODE_AUDIENCE DECODE_ISSUER DECODE_LEEWAY
ENCODE_AUDIENCE ENCODE_ISSUER ENCODE_NBF ERROR_MESSAGE_KEY HEADER_NAME HEADER_TYPE JSON_KEY PRIVATE_KEY PUBLIC_KEY
QUERY_STRING_NAME QUERY_STRING_VALUE_PREFIX REFRESH_COOKIE_NAME REFRESH_COOKIE_PATH REFRESH_CSRF_COOKIE_NAME
REFRESH_CSRF_COOKIE_PATH REFRESH_CSRF_FIELD_NAME REFRESH_CSRF_HEADER_NAME REFRESH_JSON_KEY REFRESH_TOKEN_EXPIRES
SESSION_COOKIE TOKEN_LOCATION BLACKLIST_ENABLED BLACKLIST_TOKEN_CHECKS
""",
)
SANIC_JWT_EXTENDED = re.findall(
    r"\S+",
    """
TOKEN_LOCATION HEADER_NAME HEADER_TYPE ACCESS_TOKEN_EXPIRES REFRESH_TOKEN_EXPIRES PUBLIC_KEY PRIVATE_KEY USER_CLAIMS
CLAIMS_IN_REFRESH_TOKEN ERROR_MESSAGE_KEY
""",
)


@pytest.mark.parametrize("name", sorted({*FLASK_JWT_EXTENDED, *SANIC_JWT_EXTENDED}))
def test_the_names_of_other_libraries_lead_to_ours(name: str) -> None:
    """A setting of flask-jwt-extended or sanic-jwt-extended is refused with what is to be written here."""  # S150
    with pytest.raises(SettingError) as caught:
        JWTConfig.from_mapping({"JWT_SECRET_KEY": SECRET, f"JWT_{name}": "x"})
    message = str(caught.value)
    meant = re.search(r"; did you mean JWT_([A-Z_]+)\?$", message)
    if meant is None:
        assert message.startswith(f"JWT_{name} is not a setting; instead of it, write ")
    else:
        setting = meant[1].lower()
        assert setting in FIELDS or hasattr(TokenCookies, setting.removeprefix("cookies_"))


@for_each(
    ("name", "meant"),
    [
        ("ACCESS_TOKEN_EXPIRES", "ACCESS_LIFETIME"),
        ("REFRESH_TOKEN_EXPIRES", "REFRESH_LIFETIME"),
        ("COOKIE_SAMESITE", "COOKIES_SAME_SITE"),
        ("PUBLIC_KEY", "VERIFICATION_KEYS"),
        ("EXPIRES", "ACCESS_LIFETIME"),
        ("SECRET", "SECRET_KEY"),
    ],
)
def test_the_setting_that_was_meant(name: str, meant: str) -> None:
    """The commonest names are translated."""
    with pytest.raises(SettingError, match=rf"^SHOP_{name} is not a setting; did you mean SHOP_{meant}\?$"):
        JWTConfig.from_mapping({f"SHOP_{name}": "x"}, "SHOP_")
