"""Connections go by the table of their states: any order of what application, client, server, clock and store do."""

from __future__ import annotations

import dataclasses
from concurrent.futures import CancelledError, Future
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from asgi_jwt_claims import JWTConfig, JWTMiddleware, TokenError, adopt_token, create_access_token, renew_token
from asgi_jwt_claims._asgi import SCOPE_KEY
from asgi_jwt_claims.connections import base
from asgi_jwt_claims.connections import registry as watch
from asgi_jwt_claims.connections.states import CLOSED, ENDED, ENDING, OPEN, PENDING, TRANSITIONS, WAITING, Event, State
from asgi_jwt_claims.errors import (
    ConnectionEndedError,
    ExpiredTokenError,
    MalformedTokenError,
    MissingTokenError,
    RepeatedCredentialsError,
    RevokedTokenError,
)
from asgi_jwt_claims.sessions import revoke_token
from asgi_jwt_claims.stores import MemoryStore
from tests.conftest import HeldClock
from tests.raw_asgi import Message, Receive, Scope, Send, bearer, http_scope, websocket_scope
from tests.support import SECRET
from tests.unit.connections.connection import ClientConnection

LIFETIME = 15 * 60 + 10  # with the leeway; and the time in which to adopt a token
TURNS = 15  # of the event loop, in which everything has happened that is going to

RARELY = st.sampled_from((False, False, False, False, True))
"""Whether a rule is followed after which little else can happen."""

PASSING = (PENDING, WAITING, OPEN, CLOSED)
"""The states in which all messages pass."""

WATCHED = (WAITING, OPEN)

STREAM = [(b"content-type", b"text/event-stream")]
MESSAGES: dict[str, dict[str, Message]] = {
    "websocket": {
        "open": {"type": "websocket.accept"},
        "send": {"type": "websocket.send", "text": "tick"},
        "close": {"type": "websocket.close", "code": 1000, "reason": ""},
        "refuse": {"type": "websocket.close", "code": 4000, "reason": ""},
        "other": {"type": "websocket.unheard.of"},
        "said": {"type": "websocket.receive", "text": "hello"},
    },
    "http": {
        "open": {"type": "http.response.start", "status": 200, "headers": STREAM},
        "send": {"type": "http.response.body", "body": b"data: tick\n\n", "more_body": True},
        "close": {"type": "http.response.body", "body": b""},
        "refuse": {"type": "http.response.start", "status": 200, "headers": []},
        "other": {"type": "http.response.push", "path": "/", "headers": []},
        "said": {"type": "http.request", "body": b"", "more_body": False},
    },
}


def test_the_table() -> None:
    """Nothing leads out of the two last states, nothing back, and every state is reached."""
    assert not [row for row in TRANSITIONS if row[0] in (ENDED, CLOSED)]
    order = list(State)
    assert all(order.index(before) < order.index(after) for (before, _), after in TRANSITIONS.items())
    assert {*State} - {PENDING} == {*TRANSITIONS.values()}


@dataclasses.dataclass(eq=False)
class Task:
    """A task of the application, in `receive` or in `send`."""

    kind: str
    future: Future[Any]
    is_sending: bool = False
    """Whether its message is on its way, and holds up the end."""


class Connections(RuleBasedStateMachine):
    """One connection, and what it has to be: its state, what is on its way, and what the application is told."""

    backend: str

    def __init__(self) -> None:
        super().__init__()
        self.entered = start_blocking_portal(self.backend)
        self.portal = self.entered.__enter__()
        self.state = PENDING
        self.tasks: list[Task] = []
        self.queued = 0
        self.is_blocked = self.is_gone = self.is_revoked = False
        self.has_returned = False
        self.end = "none"
        """Whether the end is on its way, has been sent, or never reaches the client."""
        self.errors: set[type[TokenError]] = set()

    @initialize(
        kind=st.sampled_from(("websocket", "http", "late websocket")), opens=st.sampled_from((True, True, True, False))
    )
    def connect(self, kind: str, opens: bool) -> None:
        self.has_token = not kind.startswith("late")
        kind = kind.rpartition(" ")[2]
        self.messages = MESSAGES[kind]
        self.clock = HeldClock()
        self.began = self.clock.now
        self.ends_at = self.began + LIFETIME
        self.store = MemoryStore(clock=self.clock)
        self.config = JWTConfig(secret_key=SECRET, clock=self.clock)
        base.monotonic = self.clock  # type: ignore[assignment]  # both clocks are one
        headers = [bearer(create_access_token("alice", self.config))] * self.has_token
        self.scope = websocket_scope("/", *headers) if kind == "websocket" else http_scope("/", *headers)
        middleware = JWTMiddleware(
            self.application, self.config, store=self.store, required=False, adopt_within=LIFETIME
        )

        async def start() -> None:
            self.line = ClientConnection(self.scope)
            self.returns = anyio.Event()

        self.portal.call(start)
        self.served = self.portal.start_task_soon(self.line.serve, middleware)
        self.settle()
        if opens:
            self.open()

    async def application(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Receive what comes first, and leave the rest to the tasks that the rules start."""
        self.receive, self.send = receive, send
        self.connection: Any = receive.__self__  # type: ignore[attr-defined]  # the bound method of ours
        await receive()
        await self.returns.wait()

    def settle(self) -> None:
        async def turn() -> None:
            for _ in range(TURNS):
                await anyio.lowlevel.checkpoint()

        self.portal.call(turn)

    def teardown(self) -> None:
        if hasattr(self, "line"):
            if not self.is_gone:
                self.leave()
            if not self.has_returned:
                self.return_()
            self.look()
            for task in self.tasks:
                task.future.cancel()
        self.entered.__exit__(None, None, None)

    # The model --------------------------------------------------------------------------------------------------------

    @property
    def is_websocket(self) -> bool:
        return bool(self.scope["type"] == "websocket")

    @property
    def is_over(self) -> bool:
        return self.is_revoked or self.clock.now >= self.ends_at

    def happen(self, event: Event) -> None:
        self.state = TRANSITIONS.get((self.state, event), self.state)

    def notice(self) -> None:
        """The end of the token is noticed, or that of the time for one."""
        if self.state is WAITING and self.is_over:
            self.errors = {MissingTokenError}
            self.happen(Event.TIME_IS_UP)
        elif self.state is OPEN and self.is_over:
            expired, revoked = self.clock.now >= self.ends_at, self.is_revoked
            # A store forgets the revocation of a token that has expired since.
            self.errors = {*(ExpiredTokenError,) * expired, *(RevokedTokenError,) * revoked}
            self.happen(Event.TOKEN_ENDS)
        self.let_end()

    def let_end(self) -> None:
        """The end is sent once nothing else is on its way."""
        if self.state is ENDING and not any(task.is_sending for task in self.tasks):
            self.happen(Event.END_SENT)
            self.end = "lost" if self.is_gone else "on its way" if self.is_blocked else "sent"

    def waiting(self) -> list[Task]:
        return [task for task in self.tasks if task.kind == "receive" and not task.future.done()]

    def start(self, kind: str, *args: Any) -> Task:
        async def run() -> Any:
            return await (self.receive() if kind == "receive" else self.send(*args))

        task = Task(kind, self.portal.start_task_soon(run))
        self.tasks.append(task)
        return task

    def say(self, what: str) -> None:
        """Let the application send a message in a task of its own; `notice` has been called."""
        passes, was_ended = self.state in PASSING, self.state in (ENDING, ENDED)
        if self.state in WATCHED and what == "close":
            self.happen(Event.CLOSES)
        was_refused = self.line.end and self.state is CLOSED
        task = self.start(what, dict(self.messages[what]))
        task.is_sending = self.is_blocked and self.state in WATCHED
        self.settle()
        if self.is_gone and passes:
            assert isinstance(task.future.exception(0), OSError)
        elif was_refused:
            self.line.too_late.pop()  # the application's own mistake
            assert isinstance(task.future.exception(0), RuntimeError)
        elif passes:
            assert self.is_blocked or task.future.exception(0) is None
        elif self.end != "on its way":
            self.check_late(task)
        assert not (passes and was_ended)

    @staticmethod
    def check_late(task: Task) -> None:
        """What becomes of a message that is sent after the end of the token."""
        error = task.future.exception(0)
        assert (error is None) if task.kind == "close" else isinstance(error, ConnectionEndedError)

    # What the application does ----------------------------------------------------------------------------------------

    @precondition(lambda self: self.state is PENDING and not self.is_blocked and not self.has_returned)
    @rule()
    def open(self) -> None:
        if not self.has_token:
            self.ends_at = self.clock.now + LIFETIME
        self.happen(Event.OPENS if self.has_token else Event.WAITS)
        if self.is_websocket:
            self.notice()
        task = self.start("open", dict(self.messages["open"]))
        self.settle()
        error = task.future.exception(0)
        if self.state is ENDED:
            assert isinstance(error, ConnectionEndedError)
        else:
            assert (OSError if self.is_gone else type(None)) is type(error)
            self.notice()
        self.settle()

    @precondition(lambda self: self.state is PENDING and not self.is_blocked and not self.has_returned)
    @rule(really=RARELY)
    def refuse(self, really: bool) -> None:
        if really:
            self.happen(Event.CLOSES)
            self.say("refuse")

    @precondition(lambda self: self.state is not PENDING and not self.has_returned)
    @precondition(lambda self: not (self.state is CLOSED and self.is_blocked))
    @rule(what=st.sampled_from(("send", "send", "other")))
    def say_something(self, what: str) -> None:
        self.notice()
        self.say(what)

    @precondition(lambda self: self.state is not PENDING and not self.has_returned)
    @precondition(lambda self: not (self.state in (*WATCHED, CLOSED) and self.is_blocked))
    @rule(really=RARELY)
    def close(self, really: bool) -> None:
        if really or self.state not in WATCHED:
            self.notice()
            self.say("close")

    @precondition(lambda self: not self.has_returned and len(self.waiting()) < 3)
    @rule()
    def wait(self) -> None:
        self.notice()
        task = self.start("receive")
        self.settle()
        if self.state in PASSING:
            self.hear(1)
            assert task.future.done() is (task not in self.waiting())

    def hear(self, most: int) -> None:
        """Tasks that wait are told of what the client says, or that it has left."""
        for _ in range(most):
            if self.queued:
                self.queued -= 1
            elif self.is_gone:
                if self.state in (PENDING, *WATCHED):
                    self.happen(Event.CLOSES)
            else:
                return

    @precondition(lambda self: [task for task in self.tasks if not task.future.done()])
    @rule(which=st.integers(0, 10))
    def cancel(self, which: int) -> None:
        running = [task for task in self.tasks if not task.future.done()]
        task = running[which % len(running)]
        task.future.cancel()
        self.settle()
        task.is_sending = False
        self.let_end()
        self.settle()

    @precondition(lambda self: self.state in (OPEN, ENDED) and self.has_token and not self.has_returned)
    @rule()
    def renew(self) -> None:
        raw = create_access_token("alice", self.config)
        if self.state is OPEN:
            self.portal.call(renew_token, self.scope, raw)
            self.ends_at, self.is_revoked = self.clock.now + LIFETIME, False
        else:
            with pytest.raises(TokenError) as caught:
                self.portal.call(renew_token, self.scope, raw)
            assert type(caught.value) in self.errors
        self.settle()

    @precondition(lambda self: self.state in (*WATCHED, ENDING, ENDED) and self.is_websocket and not self.has_returned)
    @rule(is_good=st.booleans())
    def adopt(self, is_good: bool) -> None:
        """A good token is adopted while time is left, as it is noticed, and no other one is."""
        raw = create_access_token("alice", self.config) if is_good else "no token"
        if self.state is WAITING and is_good:
            assert self.portal.call(adopt_token, self.scope, raw) is self.scope["token"]
            self.ends_at, self.has_token = self.clock.now + LIFETIME, True
            self.happen(Event.TOKEN_COMES)
        else:
            with pytest.raises(TokenError) as caught:
                self.portal.call(adopt_token, self.scope, raw)
            expected = {OPEN: {RepeatedCredentialsError}, WAITING: {MalformedTokenError}}.get(self.state, self.errors)
            assert type(caught.value) in expected
        self.settle()

    @precondition(lambda self: not self.has_returned and not self.is_blocked)
    @rule(really=RARELY)
    def return_early(self, really: bool) -> None:
        if really:
            self.return_()

    def return_(self) -> None:
        """Nothing of the connection is left in the registry, nor in what was worked out for the request."""
        self.has_returned = True
        self.portal.call(self.returns.set)
        self.settle()
        self.happen(Event.CLOSES)
        self.served.result(0)
        assert () == self.scope[SCOPE_KEY].connections
        assert self.line.error is None

    # What the others do -----------------------------------------------------------------------------------------------

    @precondition(lambda self: not self.is_gone)
    @rule()
    def speak(self) -> None:
        was_waiting = len(self.waiting())
        if was_waiting:
            self.notice()
        self.portal.call(self.line.push, dict(self.messages["said"]))
        self.queued += 1
        self.settle()
        if self.state in PASSING:
            self.hear(min(was_waiting, 1))

    @precondition(lambda self: not self.is_gone)
    @rule(really=RARELY)
    def leave_early(self, really: bool) -> None:
        if really:
            self.leave()

    def leave(self) -> None:
        was_waiting = len(self.waiting())
        self.is_gone, self.is_blocked = True, False
        if self.end == "on its way":
            self.end = "lost"
        for task in self.tasks:
            task.is_sending = False
        self.portal.call(self.line.hang_up)
        self.settle()
        if was_waiting:
            self.notice()
        self.let_end()
        self.hear(was_waiting)
        self.settle()

    @precondition(lambda self: not self.is_gone and not self.is_blocked)
    @rule(sends=st.sampled_from((0, 1, 1, 2)))
    def block(self, sends: int) -> None:
        """The server lets nothing through, and what the application has sent is on its way."""
        self.is_blocked = True
        self.portal.call(self.line.block)
        for _ in range(sends if self.state in WATCHED and not self.has_returned else 0):
            self.say_something("send")

    @precondition(lambda self: self.is_blocked)
    @rule()
    def unblock(self) -> None:
        self.is_blocked = False
        if self.end == "on its way":
            self.end = "sent"
        self.portal.call(self.line.unblock)
        self.settle()
        for task in self.tasks:
            task.is_sending = False
        self.let_end()

    @rule(seconds=st.sampled_from((LIFETIME - 1, LIFETIME)), is_noticed=st.booleans())
    def pass_time(self, seconds: float, is_noticed: bool) -> None:
        self.clock.now += seconds
        if is_noticed:
            self.look()

    @precondition(lambda self: not self.is_revoked)
    @rule()
    def set_clock_back(self) -> None:
        self.clock.now = self.began

    @rule()
    def look(self) -> None:
        """The registry reads the clock, as it does every second."""
        self.notice()

        async def wake() -> None:
            registry = watch._REGISTRY.get()
            if registry is not None:
                registry._changed.set()

        self.portal.call(wake)
        self.settle()

    @precondition(lambda self: self.has_token and not self.is_over)
    @rule()
    def revoke(self) -> None:
        self.portal.call(revoke_token, self.scope["token"], self.config, self.store)
        self.is_revoked = True
        self.settle()
        self.notice()

    # What has to hold -------------------------------------------------------------------------------------------------

    @invariant()
    def is_as_the_table_says(self) -> None:
        if not hasattr(self, "connection"):
            return
        connection = self.connection.watched
        if connection is None:  # an http response that is no stream, or none as yet
            assert self.state in (PENDING, CLOSED)
            return
        assert self.state is connection.state
        assert (self.state in (ENDING, ENDED)) is (connection.error is not None)
        assert (self.state in WATCHED) is (connection._registry is not None)
        if connection.error is not None:
            assert type(connection.error) in self.errors

    @invariant()
    def there_is_one_end(self) -> None:
        if not hasattr(self, "line"):
            return
        assert [] == self.line.too_late
        if self.state in (PENDING, *WATCHED, ENDING):
            assert not self.line.end
        elif self.state is ENDED:
            assert self.line.end is not False if self.end == "sent" else self.line.end is False

    @invariant()
    def those_who_wait_are_told(self) -> None:
        if self.state is ENDING or (self.state is ENDED and self.end != "on its way"):
            assert [] == self.waiting()
        for task in self.tasks:
            if task.kind == "receive" and task.future.done() and not self.was_cancelled(task):
                assert task.future.exception(0) is None

    @staticmethod
    def was_cancelled(task: Task) -> bool:
        try:
            task.future.exception(0)
        except CancelledError:
            return True
        return False


@pytest.mark.thorough
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_any_order(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes when, the connection is where the table says, and ends once."""
    monkeypatch.setattr(watch, "_LONGEST_PAUSE", 3600.0)
    monkeypatch.setattr(base, "monotonic", base.monotonic)  # which each connection sets
    run_state_machine_as_test(type("Machine", (Connections,), {"backend": backend}))
