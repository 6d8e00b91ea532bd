"""One target under the fuzzer: `python -m tests.fuzz.guided TARGET [libFuzzer's options] CORPUS`."""

from __future__ import annotations

import logging
import random
import sys

import atheris

with atheris.instrument_imports(include=["asgi_jwt_claims"]):
    from tests.fuzz.mutations import MUTATORS
    from tests.fuzz.target import TARGETS

__all__: list[str] = []

# Keys that look guessable are told about in the log, which is not what is sought here.
logging.getLogger("asgi_jwt_claims").setLevel(logging.ERROR)


def main() -> None:
    """Runs until the runs are done, the time is over, or something is found; the process ends there."""
    name = sys.argv.pop(1)
    mutator = MUTATORS.get(name)

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        assert mutator is not None
        return mutator(data, max_size, random.Random(seed), atheris.Mutate)[:max_size]

    atheris.Setup(sys.argv, TARGETS[name], custom_mutator=mutate if mutator else None)
    atheris.Fuzz()


main()
