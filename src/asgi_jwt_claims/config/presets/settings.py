"""Turn a row of the table of identity providers into the settings of a `JWTConfig`."""

from __future__ import annotations

import difflib
import re
import string
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from asgi_jwt_claims.config._claim_paths import as_path, is_name, name_of
from asgi_jwt_claims.config.issuer_template import IssuerTemplate
from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.jwks import RemoteKeySet
from asgi_jwt_claims.runtime.values import plain

if TYPE_CHECKING:
    from asgi_jwt_claims.keys.key_set import KeySource

__all__ = ["Provider", "kinds_of_arguments", "settings_for"]

Claim: TypeAlias = str | tuple[str, ...]
"""The name of a claim, or the path to one."""


class Provider(NamedTuple):
    """What is known about the tokens of one provider.

    Attributes:
        issuer: What stands in `iss`. With `{{tid}}` in it, a template for the tenants that the caller allows.
        needs: The arguments that must be given; of those in a tuple at least one.
        aliases: Other spellings of the issuer in tokens.
        keys: The URL of the JWK Set. None if the metadata of the issuer names it.
        algorithms: The algorithms of its keys; empty for all but those of secrets.
        audience: What stands in `aud` unless the caller says otherwise. None if the caller knows it, or there is none.
        keys_name_client: Whether the provider has a key set for each client, so that no claim has to name the client.
        present: Claims that a token must carry.
        one_of: Claims of which a token must carry one, unless the caller names the clients.
        claims: Claims whose value is demanded; that of an argument only if the argument is given.
        scopes: Where the scopes stand; the default of `JWTConfig` if there are none.
        roles: Where the roles stand; the default of `JWTConfig` if there are none.
        identity: The claims that may name the identity, the first one that is there.
        settings: Other settings of `JWTConfig`.
        refused: Values that a setting must not have, each as setting, value and reason.
        only_id_tokens: Whether the provider issues no access tokens that others can read.
        hint: What the caller has to know about the arguments.
    """

    issuer: str
    needs: tuple[str | tuple[str, ...], ...]
    aliases: tuple[str, ...] = ()
    keys: str | None = None
    algorithms: tuple[str, ...] = ("RS256",)
    audience: str | None = None
    keys_name_client: bool = False
    present: tuple[Claim, ...] = ()
    one_of: tuple[str, ...] = ()
    claims: Mapping[Claim, str] = {}
    scopes: tuple[Claim, ...] = ()
    roles: tuple[Claim, ...] = ()
    identity: tuple[str, ...] = ("sub",)
    settings: Mapping[str, Any] = {}
    refused: tuple[tuple[str, str, str], ...] = ()
    only_id_tokens: bool = False
    hint: str = ""


_HOST: Final = (r"[a-z0-9-]+(\.[a-z0-9-]+)*(:[0-9]+)?", "a host in lower case, such as login.example.com")
_GUID: Final = (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "a GUID in lower case")

ARGUMENTS: Final[Mapping[str, tuple[str, str]]] = {
    "domain": _HOST,
    "host": _HOST,
    "frontend_api": _HOST,
    "tenant_id": _GUID,
    "tenants": _GUID,
    "url": (r"https?://[^\s?#]*[^\s?#/]", "a URL without a slash at its end"),
    "issuer": (r"https?://\S+", "the URL in the claim iss"),
    "": (r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*", "letters, digits and . _ ~ - only"),
}
"""What an argument that becomes part of a URL must look like, as a pattern and in words; "" stands for all others."""


class _KeysOfOneClient(RemoteKeySet):
    is_for_one_client = True


_OF_KEYS: Final = ("fetch", "policy", "loopback_http", "insecure_http_hosts")
"""Arguments that are those of the `RemoteKeySet`."""

_DECIDED: Final = ("issuer", "type_claim", "user_claims_claim")
"""Settings that a row decides by itself."""


def settings_for(
    name: object,
    arguments: Mapping[str, Any],
    providers: Mapping[str, Provider],
    unsupported: Mapping[str, str],
    fields: Collection[str],
) -> dict[str, Any]:
    """Work out the settings for the tokens of the provider `name`.

    Args:
        name: The name of a row.
        arguments: Those of the row, the settings of `JWTConfig`, and some of `RemoteKeySet`.
        providers: The rows.
        unsupported: Names that have no row, each with the reason.
        fields: The names of all settings of `JWTConfig`.

    Raises:
        SettingError: There is no such row, or an argument is missing, unknown, or cannot be used.
    """
    row = _find_row(str(plain(name)), providers, unsupported)
    audience = arguments.get("audience")
    if isinstance(audience, Iterable) and not isinstance(audience, str):
        arguments = {**arguments, "audience": tuple(audience)}
    call = f'for_provider("{name}")'
    given = {key: plain(value) for key, value in arguments.items() if value is not None}
    _check_names(row, arguments, fields, call)
    _check_needs(row, given, call)
    _check_values(row, given, call)
    settings = {key: value for key, value in arguments.items() if key in fields and key != "issuer"}
    if settings.get("audience") is None:
        settings.pop("audience", None)  # as if it were not given: that of the row stays
    return {
        "issuer": _issuer(row, given),
        "audience": None if row.audience is None else row.audience.format_map(given),
        "identity_claim": _one_or_list(row.identity),
        **({"scope_claim": _one_or_list(row.scopes)} if row.scopes else {}),
        **({"roles_claim": _one_or_list(_paths(row.roles, given))} if row.roles else {}),
        **row.settings,
        **settings,
        "jwks": _keys(row, given, call),
        "required_claims": _demands(row, given, call),
    }


def kinds_of_arguments(
    name: object, providers: Mapping[str, Provider], unsupported: Mapping[str, str]
) -> dict[str, str]:
    """The arguments of a row that are no settings, each with its type, for those that come as text.

    Raises:
        SettingError: There is no such row.
    """
    row = _find_row(str(plain(name)), providers, unsupported)
    return {**dict.fromkeys(_own(row), "Iterable[str]"), **dict.fromkeys(_in_addresses(row), "str")}


def _find_row(name: str, providers: Mapping[str, Provider], unsupported: Mapping[str, str]) -> Provider:
    if name in providers:
        return providers[name]
    if name in unsupported:
        raise SettingError(f'for_provider("{name}") is not supported: {unsupported[name]}')
    close = difflib.get_close_matches(name, providers, n=1)
    raise SettingError(
        f"for_provider knows no {name!r}"
        + (f"; did you mean {close[0]!r}?" if close else f"; it knows {', '.join(sorted(providers))}")
    )


def _names_in(*texts: str) -> dict[str, None]:
    """The names of the arguments in texts of a row, each once."""
    return {name: None for text in texts for _, name, _, _ in string.Formatter().parse(text) if name}


def _in_addresses(row: Provider) -> dict[str, None]:
    return _names_in(row.issuer, *row.aliases, row.keys or "", row.audience or "")


def _in_claims(row: Provider) -> dict[str, None]:
    return _names_in(*row.claims.values())


def _own(row: Provider) -> dict[str, None]:
    """All arguments of a row that are no settings."""
    tenants = {"tenants": None} if "tenants" in row.needs else {}
    return {**_in_addresses(row), **_in_claims(row), **tenants}


def _check_names(row: Provider, arguments: Mapping[str, Any], fields: Collection[str], call: str) -> None:
    own = _own(row)
    known = {*own, *_OF_KEYS, *fields} - (set(_DECIDED) - set(own))
    for name in arguments:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            raise SettingError(
                f"{call} takes no {name}"
                + (f"; did you mean {close[0]}?" if close else f"; beside settings it takes {', '.join(own)}")
            )


def _check_needs(row: Provider, given: Mapping[str, Any], call: str) -> None:
    missing = []
    for need in row.needs:
        names = (need,) if isinstance(need, str) else need
        if not any(name in given for name in names):
            missing.append(" or ".join(f"{name}=..." for name in names))
    if missing:
        raise SettingError(f"{call} needs {', and '.join(missing)}: {row.hint}")
    if row.only_id_tokens and given.get("accept_id_tokens") is not True:
        raise SettingError(
            f"{call} needs accept_id_tokens=True: this provider issues ID tokens only, and any service that receives "
            "one can use it here"
        )
    if not row.only_id_tokens and given.get("accept_id_tokens"):
        raise SettingError(f"{call} accepts access tokens alone; for ID tokens write JWTConfig.for_issuer(...)")


def _check_values(row: Provider, given: Mapping[str, Any], call: str) -> None:
    parts = [(name, given[name]) for name in _in_addresses(row)]
    if "tenants" in row.needs and not callable(given["tenants"]):
        parts += [("tenants", tenant) for tenant in _several(given["tenants"])]
    for name, value in parts:
        pattern, meaning = ARGUMENTS.get(name, ARGUMENTS[""])
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise SettingError(f"{call}: {name} must be {meaning}, not {value!r}")
    for name in given.keys() & _in_claims(row):
        values = _several(given[name])
        if not values or not all(map(is_name, values)):
            raise SettingError(
                f"{call}: {name} must be a non-empty str, or several of them, since tokens have it as text, not "
                f"{given[name]!r}"
            )
    for name, value, reason in row.refused:
        refused = value.format_map(given)
        if refused in (item[0] if isinstance(item, tuple) else item for item in _several(given.get(name, ()))):
            raise SettingError(f"{call}: {name} must not be {refused!r}: {reason}")


def _issuer(row: Provider, given: Mapping[str, Any]) -> Any:
    issuer = row.issuer.format_map(given)
    if "tenants" in row.needs:
        return IssuerTemplate(issuer, allow=given["tenants"])
    return [issuer, *row.aliases] if row.aliases else issuer


def _keys(row: Provider, given: Mapping[str, Any], call: str) -> KeySource:
    options = {name: given[name] for name in _OF_KEYS if name in given}
    if "jwks" in given:
        if options:
            raise SettingError(f"{call}: {', '.join(options)} cannot be combined with jwks, which brings its own")
        keys: KeySource = given["jwks"]
        return keys
    if row.keys is None:
        options["issuer"] = row.issuer.format_map(given)
    else:
        options["url"] = row.keys.format_map(given)
    return (_KeysOfOneClient if row.keys_name_client else RemoteKeySet)(algorithms=row.algorithms, **options)


def _demands(row: Provider, given: Mapping[str, Any], call: str) -> dict[Any, Any]:
    """What the row demands of claims, and what the caller demands beside that."""
    demands: dict[Any, Any] = {_path(claim): None for claim in ("exp", "iat", *row.present)}
    if row.one_of and "client_id" not in given:
        demands[frozenset(row.one_of)] = None
    for claim, value in row.claims.items():
        names = _names_in(value)
        if not names:
            demands[_path(claim)] = value
        elif given.keys() >= names.keys():
            (name,) = names
            demands[_path(claim)] = frozenset(_several(given[name]))
    required = given.get("required_claims", ())
    if isinstance(required, str) or not isinstance(required, Iterable):
        raise SettingError(
            f"required_claims must be a list of claims, or a mapping of them to values, not {required!r}"
        )
    more: list[tuple[Any, Any]] = (
        list(required.items()) if isinstance(required, Mapping) else [(claim, None) for claim in required]
    )
    for claim, value in more:
        if isinstance(claim, frozenset):
            demands[claim] = value
            continue
        path = as_path(claim, "required_claims")
        if value is not None and demands.get(path) is not None:
            raise SettingError(f"{call} demands a value of {name_of(path)} already: take it out of required_claims")
        demands[path] = demands.get(path) if value is None else value
    return demands


def _paths(claims: tuple[Claim, ...], given: Mapping[str, Any]) -> tuple[Claim, ...]:
    """The claims of a row as paths; one with `{audience}` in it stands for one claim for each audience."""
    found: dict[Claim, None] = {}
    for path in map(_path, claims):
        for audience in _several(given["audience"]) if _names_in(*path) else ("",):
            found[tuple(part.format_map({"audience": audience}) for part in path)] = None
    return tuple(found)


def _path(claim: Claim) -> tuple[str, ...]:
    return (claim,) if isinstance(claim, str) else claim


def _several(value: Any) -> tuple[Any, ...]:
    return tuple(map(plain, value)) if isinstance(value, list | tuple | set | frozenset) else (value,)


def _one_or_list(claims: tuple[Claim, ...]) -> Claim | list[Claim]:
    return claims[0] if len(claims) == 1 else list(claims)
