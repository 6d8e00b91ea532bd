"""jose on the tokens of `tests.corpus.providers`; the other libraries run in `tests/unit/test_provider_peers.py`."""

from __future__ import annotations

import json
import subprocess

from tests.corpus.providers import SHAPES
from tests.presets import cases_of, jwk_for, peers_on_the_page, tally
from tests.system.providers.test_providers import DIRECTORY, NEEDED

pytestmark = NEEDED


def test_jose_on_the_same_tokens() -> None:
    """The page says how many of the tokens that ought to pass, and of those that ought not, pass jose."""
    cases = [case for name in SHAPES for case in cases_of(name)]
    asked = [
        {"token": case.token, "jwk": jwk_for(case.algorithm), "issuer": case.issuers, "audience": case.audience}
        for case in cases
    ]
    command = ["node", str(DIRECTORY / "jose.mjs"), "judge"]
    answer = subprocess.run(command, input=json.dumps(asked).encode(), capture_output=True, check=True, timeout=120)
    passed = iter(json.loads(answer.stdout))
    counted = {name: tally(name, [next(passed) for _ in cases_of(name)]) for name in SHAPES}
    assert counted == {name: cells["jose"] for name, cells in peers_on_the_page().items()}
