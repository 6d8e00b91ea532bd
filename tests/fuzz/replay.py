"""Every input of some corpora through its target, without the fuzzer: `python -m tests.fuzz.replay DIRECTORY...`."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from tests.fuzz.target import TARGETS

__all__: list[str] = []

# As in `guided.py`.
logging.getLogger("asgi_jwt_claims").setLevel(logging.ERROR)

for directory in map(Path, sys.argv[1:]):
    target = TARGETS[directory.name.removeprefix("corpus-")]
    for path in sorted(directory.iterdir()):
        target(path.read_bytes())
