"""What was revoked stays revoked: any order of requests, any time between them, two nodes and one release after another.

The machine knows nothing of marks and records. It remembers the tokens that were handed out and which of them were
revoked, and asks the endpoints of both nodes for each of those again and again.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from asgi_jwt_claims import (
    AuthEvent,
    JWTConfig,
    JWTError,
    TokenPair,
    create_access_token,
    set_token_cookies,
    verify_token,
)
from asgi_jwt_claims.sessions import (
    TokenEndpoints,
    list_sessions,
    revoke_identity,
    revoke_session,
    revoke_token,
    start_session,
)
from asgi_jwt_claims.sessions import (
    login as sessions,
)
from asgi_jwt_claims.stores import MemoryStore
from tests.conftest import HeldClock
from tests.raw_asgi import bearer, finish, http_scope
from tests.support import SECRET

LEEWAY = 10.0
DAY = 86400
IDENTITIES = ("alice", "bob")
FORM = (b"content-type", b"application/x-www-form-urlencoded")
LOADED: tuple[Any, ...] = (None, None, None, {"a": 1}, {"a": object()}, {"a": "x" * 4000}, {1: 1}, "text")


@dataclasses.dataclass(eq=False)
class Issued:
    """A token that was handed out."""

    raw: str
    kind: str
    identity: str
    session: str | None
    issued_at: float
    expires_at: float
    is_revoked: bool = False


@dataclasses.dataclass(eq=False)
class Login:
    """The tokens that a client holds after a login or a refresh."""

    pair: TokenPair
    tokens: tuple[Issued, Issued]


@dataclasses.dataclass(eq=False)
class Node:
    """A machine with a clock of its own."""

    clock: Callable[[], float]
    config: JWTConfig
    forms: TokenEndpoints
    cookies: TokenEndpoints


@dataclasses.dataclass(frozen=True)
class Release:
    """The lifetimes that are configured, in seconds."""

    access: int
    refresh: int
    session: int | None
    longest: int | None

    @property
    def kept(self) -> float:
        """How long a token may live, so that it can be revoked without being at hand."""
        return self.refresh if self.longest is None else self.longest


RELEASES = st.builds(
    Release,
    access=st.sampled_from((60, 900, DAY)),
    refresh=st.sampled_from((DAY, 7 * DAY, 30 * DAY)),
    session=st.sampled_from((3600, 5 * DAY, 90 * DAY, None)),
    longest=st.sampled_from((None, None, None, 3600, 90 * DAY)),
)
WAYS = (
    "log_out",
    "log_out_by_cookie",
    "log_out_everywhere",
    "end_session",
    "change_password",
    "revoke_by_name",
)
NUMBERS = st.integers(0, 10**6)
NODES = st.integers(0, 1)


class Revocations(RuleBasedStateMachine):
    """Two nodes, one store, and clients that keep every token they have had."""

    def __init__(self) -> None:
        super().__init__()
        self.time = HeldClock()
        self.store = MemoryStore(clock=self.time)
        self.issued: dict[str, Issued] = {}
        self.logins: list[Login] = []
        self.loaded: Any = None
        self.patch = pytest.MonkeyPatch()
        # A login that has to wait for its second lets the time pass.
        self.patch.setattr(sessions, "anyio", SimpleNamespace(sleep=self._sleep))

    async def _sleep(self, seconds: float) -> None:
        self.time.now += seconds

    def teardown(self) -> None:
        self.patch.undo()

    @initialize(ahead=st.integers(0, 10), release=RELEASES)
    def begin(self, ahead: int, release: Release) -> None:
        # The store's clock is in between, so that no two differ by more than the leeway.
        behind = 10 - ahead
        self.clocks = (lambda: self.time.now + ahead, lambda: self.time.now - behind)
        self.deploy(release)
        self.log_in("alice", 0, None)
        self.log_in("alice", 1, None)
        self.mint("alice", 0, 1)

    @rule(release=RELEASES)
    def deploy(self, release: Release) -> None:
        """Other lifetimes, on both nodes."""
        self.release = release
        self.nodes = []
        for clock in self.clocks:
            config = JWTConfig(
                secret_key=SECRET,
                clock=clock,
                leeway=LEEWAY,
                access_lifetime=release.access,
                refresh_lifetime=release.refresh,
                session_lifetime=release.session,
                max_lifetime=release.longest,
                on_event=self.hear,
            )
            forms = TokenEndpoints(config, self.store, claims_loader=self.load)
            cookies = TokenEndpoints(config, self.store, claims_loader=self.load, cookies=True)
            self.nodes.append(Node(clock, config, forms, cookies))

    def load(self, token: Any) -> Any:
        return {} if self.loaded is None else self.loaded

    def hear(self, event: AuthEvent) -> None:
        """A session that ends for any reason has ended."""
        if event.name == "revoked" and event.revoked == "session":
            self.has_ended(event.session_id)

    # What is known to be revoked.

    def has_ended(self, session: str | None) -> None:
        for one in self.issued.values():
            if session is not None and one.session == session:
                one.is_revoked = True

    def is_out(self, identity: str, at_hand: Issued | None = None) -> None:
        for one in self.issued.values():
            # A token of no session that an earlier release has minted for longer is known only when it is at hand.
            is_known = one.session is not None or one.expires_at - one.issued_at <= self.release.kept
            if one.identity == identity and (is_known or one is at_hand):
                one.is_revoked = True

    def keep(self, raw: str, kind: str, node: Node) -> Issued:
        # A repeated refresh gives what an earlier release has minted, which may live longer than this one accepts.
        config = node.config.replace(max_lifetime=None) if raw in self.issued else node.config
        token = verify_token(raw, config, type=kind)
        assert token.expires_at is not None
        assert token.issued_at is not None
        new = Issued(raw, kind, token.identity, token.session_id, token.issued_at, token.expires_at)
        # An ended session hands out nothing that works; to look at it again is for the invariant.
        return self.issued.setdefault(raw, new)

    def keep_pair(self, pair: TokenPair, node: Node) -> Login:
        tokens = self.keep(pair.access_token, "access", node), self.keep(pair.refresh_token, "refresh", node)
        login = Login(pair, tokens)
        self.logins.append(login)
        return login

    # What clients send.

    def ask(
        self, app: TokenEndpoints, method: str, path: str, *headers: Any, form: dict[str, str] | None = None
    ) -> Any:
        """The status, the headers and the content of an answer. What the endpoints raise fails the test."""
        body = urlencode(form).encode() if form is not None else b""
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        more = (FORM, *headers) if form is not None else headers
        finish(app(http_scope(path, *more, method=method), receive, send))
        assert sent[0]["status"] in (200, 400, 401, 403, 404, 503)
        return sent[0]["status"], sent[0]["headers"], json.loads(sent[1]["body"])

    def with_cookies(self, login: Login, node: Node) -> tuple[tuple[bytes, bytes], ...]:
        headers: list[tuple[bytes, bytes]] = []
        set_token_cookies(headers, login.pair, node.config)
        jar = [value.split(b";")[0] for name, value in headers if name == b"set-cookie"]
        return (b"cookie", b"; ".join(jar)), (b"x-csrf-token", jar[2].split(b"=", 1)[1])

    def refresh(self, login: Login, node: Node, *, by_cookie: bool) -> int:
        if not by_cookie:
            form = {"grant_type": "refresh_token", "refresh_token": login.pair.refresh_token}
            status, _, content = self.ask(node.forms, "POST", "/refresh", form=form)
            if status == 200:
                self.keep_pair(TokenPair(content["access_token"], content["refresh_token"]), node)
            return int(status)
        status, headers, _ = self.ask(node.cookies, "POST", "/refresh", *self.with_cookies(login, node))
        if status == 200:
            jar = [value.decode().split(";")[0].split("=", 1)[1] for name, value in headers if name == b"set-cookie"]
            self.keep_pair(TokenPair(jar[0], jar[1]), node)
        return int(status)

    def is_good(self, one: Issued, node: Node, *, heed_exp: bool = True) -> bool:
        """Whether a token is refused for nothing but perhaps for being revoked."""
        longest = self.release.longest
        if longest is not None and one.expires_at - one.issued_at > longest:
            return False
        return not heed_exp or node.clock() < one.expires_at + LEEWAY

    # Rules.

    @rule(identity=st.sampled_from(IDENTITIES), number=NODES, most=st.sampled_from((1, 3, 100, None)))
    def log_in(self, identity: str, number: int, most: int | None) -> None:
        node = self.nodes[number]
        try:
            pair = finish(start_session(identity, node.config, self.store, max_sessions=most))
        except JWTError:
            assert self.release.longest is not None and self.release.longest < self.release.refresh  # noqa: PT018 -- one condition
            return
        login = self.keep_pair(pair, node)
        assert not login.tokens[0].is_revoked
        for other in self.nodes:
            assert 200 == self.ask(other.forms, "GET", "/sessions", bearer(pair.access_token))[0]
        if most is not None:
            assert most >= len(finish(list_sessions(identity, node.config, self.store)))

    @rule(identity=st.sampled_from(IDENTITIES), number=NODES, part=st.sampled_from((1, 2, 10)))
    def mint(self, identity: str, number: int, part: int) -> None:
        node = self.nodes[number]
        raw = create_access_token(identity, node.config, lifetime=self.release.kept / part)
        self.keep(raw, "access", node)

    @rule(seconds=st.sampled_from((0.5, 5, 9.5, 60, 850, DAY)))
    def wait(self, seconds: float) -> None:
        self.time.now += seconds
        self.look_at(self.revoked())

    @rule(which=NUMBERS, number=NODES, late=st.sampled_from((0, LEEWAY - 0.5, LEEWAY + 1)), is_revoked=st.booleans())
    def wait_for_the_end(self, which: int, number: int, late: float, is_revoked: bool) -> None:
        """Until about when a token expires, or will no longer be accepted."""
        tokens = self.revoked() if is_revoked else self.living()
        until = self.some(tokens, which).expires_at + late - self.nodes[number].clock() if tokens else 0
        if until > 0:
            self.time.now += until
            self.look_at(self.revoked())

    @precondition(lambda self: self.logins)
    @rule(which=NUMBERS, number=NODES, by_cookie=st.booleans(), loaded=st.sampled_from(LOADED))
    def use_refresh_token(self, which: int, number: int, by_cookie: bool, loaded: Any) -> None:
        login, node = (
            self.some([one for one in self.logins if not one.tokens[1].is_revoked] or self.logins, which),
            self.nodes[number],
        )
        assume(not by_cookie or len(login.pair.access_token) < 4000)
        self.loaded = loaded
        status = self.refresh(login, node, by_cookie=by_cookie)
        self.loaded = None
        assert status != 200 or not login.tokens[1].is_revoked
        # A client that is told to come again must not be told so for ever.
        has_long = by_cookie and any(len(one.raw) > 4000 for one in self.issued.values())
        may_wait = loaded is not None or self.release.kept < self.release.refresh or has_long
        assert status in ((200, 400, 503) if may_wait else (200, 400))

    @precondition(lambda self: self.living())
    @rule(which=NUMBERS, other=NUMBERS, number=NODES, how=st.sampled_from(WAYS))
    def revoke(self, which: int, other: int, number: int, how: str) -> None:
        one, node = self.some(self.living(), which), self.nodes[number]
        getattr(self, how)(one, node, self.some(self.living(), other))

    def log_out(self, one: Issued, node: Node, _: Issued) -> None:
        status, _, _ = self.ask(node.forms, "POST", "/logout", form={"token": one.raw})
        assert 200 == status
        if one.session is not None and self.is_good(one, node, heed_exp=one.kind == "refresh"):
            self.has_ended(one.session)
        elif one.session is None and self.is_good(one, node):
            one.is_revoked = True

    def log_out_by_cookie(self, one: Issued, node: Node, _: Issued) -> None:
        login = next((login for login in self.logins if one in login.tokens), None)
        if login is None or len(login.pair.access_token) > 4000:
            return
        status, _, _ = self.ask(node.cookies, "POST", "/logout", *self.with_cookies(login, node))
        assert 200 == status
        if self.is_good(login.tokens[1], node):
            self.has_ended(one.session)

    def log_out_everywhere(self, one: Issued, node: Node, _: Issued) -> None:
        status, _, _ = self.ask(node.forms, "POST", "/logout-everywhere", bearer(one.raw))
        if status == 200:
            self.is_out(one.identity, one)

    def end_session(self, one: Issued, node: Node, other: Issued) -> None:
        status, _, _ = self.ask(node.forms, "DELETE", f"/sessions/{other.session}", bearer(one.raw))
        if status == 200:
            self.has_ended(other.session)

    def change_password(self, one: Issued, node: Node, _: Issued) -> None:
        listed = len(finish(list_sessions(one.identity, node.config, self.store)))
        assert listed == finish(revoke_identity(one.identity, node.config, self.store))
        self.is_out(one.identity)

    def revoke_by_name(self, one: Issued, node: Node, _: Issued) -> None:
        if one.session is not None:
            finish(revoke_session(one.session, node.config, self.store))
            self.has_ended(one.session)
        elif self.is_good(one, node):
            finish(revoke_token(verify_token(one.raw, node.config), node.config, self.store))
            one.is_revoked = True

    def revoked(self) -> list[Issued]:
        return [one for one in self.issued.values() if one.is_revoked]

    def living(self) -> list[Issued]:
        return [one for one in self.issued.values() if not one.is_revoked]

    @staticmethod
    def some(items: list[Any], which: int) -> Any:
        return items[which % len(items)]

    @invariant()
    def the_latest_is_not_accepted(self) -> None:
        self.look_at(self.revoked()[-2:])

    def look_at(self, revoked: list[Issued]) -> None:
        """What was revoked is refused, by either node."""
        for one in revoked:
            if one.expires_at + 3 * LEEWAY < self.time.now:
                continue  # expired everywhere, known to be revoked or not
            for node in self.nodes:
                if one.kind == "access":
                    status, _, _ = self.ask(node.forms, "GET", "/sessions", bearer(one.raw))
                    assert 401 == status
                else:
                    form = {"grant_type": "refresh_token", "refresh_token": one.raw}
                    status, _, content = self.ask(node.forms, "POST", "/refresh", form=form)
                    assert (400, "invalid_grant") == (status, content["error"])


Revocations.TestCase.settings = settings(stateful_step_count=50)
TestRevocations = pytest.mark.thorough(Revocations.TestCase)
