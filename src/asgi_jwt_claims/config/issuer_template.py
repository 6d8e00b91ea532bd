"""Say whose tokens are accepted: one issuer, the several names of one, or all tenants of a provider that are allowed."""

from __future__ import annotations

import inspect
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from asgi_jwt_claims import jwks
from asgi_jwt_claims.errors import KeysUnavailableError, SettingError, TokenError, WrongIssuerError
from asgi_jwt_claims.jose.strict_json import has_lone_surrogate
from asgi_jwt_claims.runtime.durations import as_duration
from asgi_jwt_claims.runtime.log import logger
from asgi_jwt_claims.runtime.values import Frozen, plain

if TYPE_CHECKING:
    from asgi_jwt_claims.jwks._single_flight import Fetching, SingleFlight
    from asgi_jwt_claims.keys import KeySource

__all__ = ["Allow", "IssuerTemplate", "Issuers", "is_unasked", "key_sets_of"]

Allow: TypeAlias = Iterable[str] | Iterable[tuple[str, ...]] | Callable[..., bool | Awaitable[bool]]
"""The tenants that are allowed, or a function that says so of each."""

_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_CHARACTERS = r"[A-Za-z0-9._~-]"  # RFC 3986 section 2.3: they mean the same everywhere in a URL
_VALUE = re.compile(_CHARACTERS + "{1,128}")
_MAX_LENGTH: Final = 1024  # characters of an issuer

_MAX_ALLOWED: Final = 16_384  # answers that are kept
_MAX_REFUSED: Final = 1024
_SECONDS_REFUSED: Final = 5.0  # so that a tenant that has just been added need not wait for long

_PATIENCE: Final = 5.0  # seconds that an async function may take
_MAX_ASKED: Final = 10  # issuers that were never allowed and are asked about at once, on one event loop

_UNASKED: Final = "it is not yet known whether the issuer is allowed"
_FAILED: Final = "the function that allows issuers has failed"


class IssuerTemplate(Frozen):
    """The issuers of all tenants of a provider, for `JWTConfig(issuer=...)`. Frozen.

    `IssuerTemplate("https://login.microsoftonline.com/{tid}/v2.0", allow={"11111111-..."})` accepts tokens whose `iss` is
    this text with an allowed tenant in place of `{tid}`. If a token has a claim of a variable's name, it must have the
    same value. Nothing is fetched for a tenant that is not allowed.

    Args:
        text: The issuer, with at least one variable in braces. A variable holds 1 to 128 letters, digits, `.`, `_`, `~`
            and `-`, but is not `.` or `..`; between two variables there must be another character.
        allow: The values of the variable that are allowed; tuples of values, in order, if there are several variables.
            Or a function, sync or async, that receives the values in order and returns True for an allowed tenant; any
            other result refuses it. If the function fails or takes more than 5 seconds, the answer is 503. Requests of
            one tenant share a call. At most 10 tenants that were never allowed are asked about at once, so that forged
            tokens cannot overload it; the answer to further ones is 503.
        ttl: How long a True of the function is kept, for at most 16,384 tenants. Other results are kept for 5 seconds.

    Attributes:
        text: The issuer with its variables.
        variables: Their names, in order.

    Raises:
        SettingError: An argument cannot be used.
    """

    __slots__ = ("_allow", "_allowed", "_asking", "_is_async", "_pattern", "_refused", "_seconds", "text", "variables")

    text: str
    variables: tuple[str, ...]
    _allow: Callable[..., Any]
    _allowed: OrderedDict[str, float]
    _asking: SingleFlight | None
    _is_async: bool
    _pattern: re.Pattern[str]
    _refused: OrderedDict[str, float]
    _seconds: float

    def __init__(self, text: str, *, allow: Allow, ttl: timedelta | float = 300) -> None:
        text = plain(text)
        parts = _VARIABLE.split(text) if isinstance(text, str) else []
        variables, between = tuple(parts[1::2]), parts[2:-1:2]
        if not variables or "{" in "".join(parts[::2]) or "}" in "".join(parts[::2]):
            raise SettingError(
                'an IssuerTemplate is an issuer with variables, as in "https://login.example.com/{tenant}", '
                f"not {text!r}"
            )
        if len(set(variables)) != len(variables):
            raise SettingError(f"the IssuerTemplate {text!r} has a variable twice; name each of them differently")
        if any(re.fullmatch(f"{_CHARACTERS}*", part) for part in between):
            raise SettingError(
                f"the IssuerTemplate {text!r} must have a character such as / between two variables, which no variable "
                "can hold; or use one variable for both"
            )
        pattern = "".join(f"({_VALUE.pattern})" if index % 2 else re.escape(part) for index, part in enumerate(parts))
        set_once = object.__setattr__
        set_once(self, "text", text)
        set_once(self, "variables", variables)
        set_once(self, "_pattern", re.compile(pattern))
        set_once(self, "_allow", allow if callable(allow) else _listed(allow, len(variables)))
        set_once(self, "_is_async", inspect.iscoroutinefunction(allow))
        set_once(self, "_asking", self._new_calls() if callable(allow) else None)
        set_once(self, "_seconds", as_duration(ttl, "ttl").total_seconds())
        # By issuer, until when the answer counts, in monotonic seconds. Refused ones cannot push out allowed ones.
        set_once(self, "_allowed", OrderedDict())
        set_once(self, "_refused", OrderedDict())

    def __repr__(self) -> str:
        return f"<IssuerTemplate {self.text}>" if hasattr(self, "text") else "<IssuerTemplate, not built>"

    @property
    def example(self) -> str:
        """An issuer that fits."""
        return _VARIABLE.sub("x", self.text)

    def values_in(self, issuer: str) -> tuple[str, ...] | None:
        """Return the values of the variables in an issuer; None if it does not fit the template."""
        found = self._pattern.fullmatch(issuer) if len(issuer) <= _MAX_LENGTH else None
        values: tuple[str, ...] | None = None if found is None else found.groups()
        return None if values is None or "." in values or ".." in values else values

    def check(self, issuer: str) -> None:
        """Refuse an issuer that does not fit or is not allowed. Never waits, but calls a sync function.

        Raises:
            WrongIssuerError: It does not fit, or is not allowed.
            KeysUnavailableError: An async function has to be asked first, or the function failed.
        """
        allowed = self._kept(issuer)
        if allowed is None:
            values = self.values_in(issuer)
            allowed = values is not None and self._ask(issuer, values)
        if not allowed:
            raise WrongIssuerError(iss=issuer)

    async def check_async(self, issuer: str) -> None:
        """As `check`, but wait for an async function."""
        allowed = self._kept(issuer)
        if allowed is None:
            values = self.values_in(issuer)
            if values is None:
                allowed = False
            elif self._asking is None:
                allowed = self._ask(issuer, values)
            else:
                allowed = await self._share(self._asking, issuer, values)
        if not allowed:
            raise WrongIssuerError(iss=issuer)

    def check_claims(self, issuer: str, claims: Mapping[str, Any]) -> None:
        """Refuse a token whose claims name another tenant than its issuer."""
        for name, value in zip(self.variables, self.values_in(issuer) or (), strict=False):
            if claims.get(name, value) != value:
                raise WrongIssuerError(iss=issuer, claim=name)

    def _kept(self, issuer: str) -> bool | None:
        until = self._allowed.get(issuer)
        if until is not None and time.monotonic() < until:
            return True
        until = self._refused.get(issuer)
        return False if until is not None and time.monotonic() < until else None

    def _ask(self, issuer: str, values: tuple[str, ...]) -> bool:
        if self._is_async:
            raise KeysUnavailableError(_UNASKED, iss=issuer)
        try:
            answer = self._allow(*values)
        except Exception as error:  # noqa: BLE001 -- of the application
            _report(error)
            raise KeysUnavailableError(_FAILED) from None
        if inspect.isawaitable(answer):  # of a lambda around an async function, for example
            getattr(answer, "close", int)()  # or Python warns that it was never awaited
            raise KeysUnavailableError(_UNASKED, iss=issuer)
        return self._keep(issuer, answer)

    def _new_calls(self) -> SingleFlight:
        from asgi_jwt_claims.jwks._single_flight import SingleFlight  # noqa: PLC0415 -- it imports anyio

        return SingleFlight(self._call)

    async def _share(self, calls: SingleFlight, issuer: str, values: tuple[str, ...]) -> bool:
        """Ask the function, or wait for the call about the issuer that is running."""
        # The token has not been verified, and forged ones may name any tenant. Those that were allowed once never wait.
        is_new = issuer not in calls.running and issuer not in self._allowed
        if is_new and sum(1 for other in calls.running if other not in self._allowed) >= _MAX_ASKED:
            raise KeysUnavailableError(f"{_MAX_ASKED} unknown issuers are being asked about", iss=issuer)
        call = calls.start(issuer, calls, issuer, values)
        await call.done.wait()
        if call.failed:
            raise KeysUnavailableError(_FAILED)
        return call.found is True

    async def _call(self, call: Fetching, calls: SingleFlight, issuer: str, values: tuple[str, ...]) -> None:
        import anyio  # noqa: PLC0415 -- as the next one, it is loaded where something waits

        from asgi_jwt_claims.runtime.tasks import ends_task  # noqa: PLC0415 -- as above

        try:
            answer = self._allow(*values)
            if inspect.isawaitable(answer):
                with anyio.fail_after(_PATIENCE):
                    answer = await answer
            call.found = self._keep(issuer, answer)
            call.failed = False
        except BaseException as error:
            if ends_task(error):
                raise
            _report(error)
        finally:
            calls.finish(call)

    def _keep(self, issuer: str, answer: object) -> bool:
        allowed = answer is True
        kept, size = (self._allowed, _MAX_ALLOWED) if allowed else (self._refused, _MAX_REFUSED)
        kept.pop(issuer, None)  # so that it becomes the newest
        kept[issuer] = time.monotonic() + (self._seconds if allowed else _SECONDS_REFUSED)
        if len(kept) > size:
            kept.popitem(last=False)
        return allowed


def _listed(allow: object, count: int) -> Callable[..., bool]:
    """Return a function that says whether tenants are on a list, after checking that each entry can be one."""
    if isinstance(allow, str | bytes | Mapping) or not isinstance(allow, Iterable):
        raise SettingError(
            'allow must be a set of tenants, as in allow={"acme"}, or a function that returns True for an allowed tenant, '
            f"not {type(allow).__name__}"
        )
    entries = [tuple(map(plain, one)) if isinstance(one, tuple | list) else (plain(one),) for one in allow]
    for values in entries:
        fits = all(isinstance(value, str) and _VALUE.fullmatch(value) and value not in (".", "..") for value in values)
        if len(values) != count or not fits:
            shown = repr(values[0] if len(values) == 1 else values)
            raise SettingError(
                f"allow holds {shown}, which no issuer can have for the {count} variables of the template"
            )
    if not entries:
        raise SettingError("allow is empty: name the tenants, or pass a function that returns True for an allowed one")
    listed = frozenset(entries)
    return lambda *values: values in listed


def _report(error: BaseException) -> None:
    logger().error(_FAILED, exc_info=error)


def is_unasked(error: TokenError) -> bool:
    """Whether the error says that an async function has to be asked about the issuer."""
    return error.evidence.get("reason") == _UNASKED


def key_sets_of(issuer: Any, **options: Any) -> KeySource:
    """Return what finds the keys of an issuer, or of each tenant of a template, through metadata.

    `options` are those of `RemoteKeySet`.
    """
    if isinstance(issuer, IssuerTemplate):
        return jwks.TenantKeySets((lambda one: jwks.RemoteKeySet(issuer=one, **options)) if options else None)
    names = issuer if isinstance(issuer, Iterable) and not isinstance(issuer, str) else (issuer,)
    return jwks.RemoteKeySet(issuer=next(iter(names), None), **options)


class Issuers(NamedTuple):
    """Whose tokens a configuration accepts: those of any issuer, of the `names` of one, or of a template.

    `canonical` is the first name, the one that is minted and revoked by; None without a name.
    """

    canonical: str | None
    names: frozenset[str]
    template: IssuerTemplate | None

    @classmethod
    def read(cls, settings: dict[str, Any]) -> Issuers:
        """Check the setting `issuer`, bring it into its final form, and return what follows from it."""
        issuer = settings["issuer"]
        if isinstance(issuer, IssuerTemplate):
            if settings["jwks"] is None:
                raise SettingError("an IssuerTemplate needs jwks: it is for the tenants of an identity provider")
            return cls(None, frozenset(), issuer)
        if issuer is None:
            return cls(None, frozenset(), None)
        names = (issuer,) if isinstance(issuer, str) or not isinstance(issuer, Iterable) else tuple(map(plain, issuer))
        if not names or not all(isinstance(name, str) and name and not has_lone_surrogate(name) for name in names):
            raise SettingError(
                "issuer must be a non-empty str, exactly as it stands in the tokens, or a list of the names of one issuer, "
                f"not {issuer!r}"
            )
        for name in names:
            if _VARIABLE.search(name):
                raise SettingError(
                    f"no issuer is {name!r}, with braces: write IssuerTemplate({name!r}, allow=...) to accept the tenants "
                    "that you allow"
                )
        settings["issuer"] = names[0] if len(names) == 1 else names
        return cls(names[0], frozenset(names), None)

    def has(self, issuer: str) -> bool:
        """Whether it is one of these; one of a template may still not be allowed."""
        return issuer in self.names if self.template is None else self.template.values_in(issuer) is not None

    def check(self, issuer: str | None) -> None:
        """Refuse the `iss` of a token: see `IssuerTemplate.check`. The canonical name need not be checked."""
        if self.template is not None and issuer is not None:
            self.template.check(issuer)
        elif self.names and issuer not in self.names:
            raise WrongIssuerError(iss=issuer)

    def check_party(
        self,
        issuer: str | None,
        claims: Mapping[str, Any],
        issuer_of_key: str | None,
        issuer_of_keys: str | None = None,
    ) -> None:
        """Refuse a token whose claims name another tenant than its issuer, or whose key is for another issuer.

        `issuer_of_keys` is the tenant whose set of keys has verified it; None if all have one set.
        """
        # The set may have been found by Python's hash, which two tokens of one tenant can share on purpose.
        if issuer_of_keys is not None and issuer_of_keys != issuer:
            raise WrongIssuerError("the keys are of another issuer", iss=issuer)
        if self.template is not None and issuer is not None:
            self.template.check_claims(issuer, claims)
        # Entra ID: the key of personal accounts stands in the set of all tenants, and must sign for no other tenant. With
        # a variable in its issuer, a key is for all of them.
        if issuer_of_key is not None and "{" not in issuer_of_key and issuer_of_key not in (issuer, *self.names):
            raise WrongIssuerError("the key is for another issuer", iss=issuer)

    def of_revocation(self, issuer: object) -> str | None:
        """Return the issuer by which stores know tokens, for the `issuer` argument of a function that revokes.

        Raises:
            SettingError: It is missing, or is none of this configuration.
        """
        if self.template is None:
            if issuer is None or not self.names or issuer in self.names:
                return self.canonical
            raise SettingError(f"issuer is {issuer!r}, which is not that of the configuration, {self.canonical!r}")
        if not isinstance(issuer, str) or self.template.values_in(issuer) is None:
            raise SettingError(
                f"the configuration has the issuer template {self.template.text!r}: say whose tokens are meant, with "
                f"issuer=token.issuer, not {issuer!r}"
            )
        return issuer
