"""What the checks cost: verification, minting and the middleware, as ratios measured in one run.

Run: `python benchmarks/core.py`
"""

from __future__ import annotations

import base64
import json
import secrets
import statistics
import time
from collections.abc import Callable, MutableMapping
from typing import Any

from asgi_jwt_claims import JWTConfig, JWTMiddleware, Key, create_access_token, verify_token

ROUNDS = 40
CALLS = 250
CLAIMS = {"VERI TAS": "LUX MEA", "groups": ["readers", "writers"], "tenant": 7}

Step = Callable[[], object]


def ratio(ours: Step, floor: Step) -> float:
    """The median of `ours` divided by `floor`, timed in turn."""
    return statistics.median(timed(ours) / timed(floor) for _ in range(ROUNDS))


def timed(step: Step) -> float:
    """Seconds for `CALLS` calls."""
    began = time.perf_counter()
    for _ in range(CALLS):
        step()
    return time.perf_counter() - began


def lenient(segment: bytes) -> bytes:
    """Base64url as most libraries read it."""
    return base64.urlsafe_b64decode(segment + b"==")


def verify_floor(key: Key, raw: str) -> Step:
    """The signature, base64 and JSON, and no check of anything."""
    encoded = raw.encode()

    def floor() -> object:
        signing_input, _, signature = encoded.rpartition(b".")
        header, _, payload = signing_input.partition(b".")
        # The key that python-jose has prepared, without our checks around it.
        verified = key._verifier.verify(signing_input, lenient(signature))  # noqa: SLF001 -- the floor is below the API
        return verified, json.loads(lenient(header)), json.loads(lenient(payload))

    return floor


def mint_floor(key: Key, claims: dict[str, Any]) -> Step:
    """JSON, base64 and the signature."""
    header = base64.urlsafe_b64encode(json.dumps({"alg": key.algorithm, "typ": "JWT", "kid": key.kid}).encode())

    def floor() -> object:
        signing_input = header + b"." + base64.urlsafe_b64encode(json.dumps(claims).encode())
        return signing_input + base64.urlsafe_b64encode(key.sign(signing_input))

    return floor


def middleware_ratio(config: JWTConfig, raw: str) -> float:
    """What the middleware adds to a bare application, divided by one `verify_token`."""

    async def bare(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        pass

    guarded = JWTMiddleware(bare, config)
    headers = [(b"host", b"localhost"), (b"accept", b"*/*"), (b"authorization", b"Bearer " + raw.encode())]

    def calling(app: Any) -> Step:
        def step() -> None:
            # No event loop in between: neither application ever waits.
            scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
            try:
                app(scope, None, None).send(None)
            except StopIteration:
                return

        return step

    with_middleware, without = calling(guarded), calling(bare)
    verify = lambda: verify_token(raw, config)  # noqa: E731 -- a step like the others
    return statistics.median((timed(with_middleware) - timed(without)) / timed(verify) for _ in range(ROUNDS))


def main() -> None:
    """Print the table."""
    print("| algorithm | verify / floor | mint / floor | middleware / verify |")
    print("|---|---|---|---|")
    for algorithm in ("HS256", "RS256", "ES256"):
        secret = {"secret_key": secrets.token_urlsafe(64)}
        config = JWTConfig(**(secret if algorithm == "HS256" else {"signing_key": Key.generate(algorithm)}))
        key = config.signing_key
        assert key is not None  # noqa: S101 -- every configuration here can sign
        raw = create_access_token("alice", config, user_claims=CLAIMS)
        claims = verify_token(raw, config).claims
        figures = (
            ratio(lambda raw=raw, config=config: verify_token(raw, config), verify_floor(key, raw)),
            ratio(
                lambda config=config: create_access_token("alice", config, user_claims=CLAIMS), mint_floor(key, claims)
            ),
            middleware_ratio(config, raw),
        )
        print(f"| {algorithm} | {' | '.join(f'{figure:.2f}' for figure in figures)} |")


if __name__ == "__main__":
    main()
