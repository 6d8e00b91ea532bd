"""Measure the memory that the cache of verified signatures takes for each token."""

from __future__ import annotations

import dataclasses
import gc
import tracemalloc
from typing import TYPE_CHECKING, Any, Final

from asgi_jwt_claims import JWTConfig, verify_token

from .material import USER_CLAIMS, Material, configuration, new_material, pool
from .sections import Section, Table

if TYPE_CHECKING:
    from .measure import Effort

SETTING: Final = "signature_cache_size"
ENTRIES: Final = 1024
ALGORITHMS: Final = ("HS256", "RS256")

TEXT: Final = f"""\
Memory that is still held after {ENTRIES:,} different tokens have been verified, three times each, and dropped, with a
cache of {ENTRIES:,} entries, less the same without a cache; as `tracemalloc` counts it, divided by the number of tokens."""


def run(_: Effort) -> Section:
    """Fill the cache, and look."""
    section = Section("memory", "Memory of the cache", TEXT)
    if SETTING not in {field.name for field in dataclasses.fields(JWTConfig)}:
        section.notes.append(f"JWTConfig has no setting {SETTING}: there is no cache to measure.")
        return section
    rows = []
    for algorithm in ALGORITHMS:
        material = new_material(algorithm)
        for what, claims in (("ordinary", USER_CLAIMS), ("large", {"padding": "x" * 2000})):
            tokens = [raw.encode() for raw in pool(material, ENTRIES, user_claims=claims)]
            kept = _held(material, tokens, ENTRIES) - _held(material, tokens, 0)
            length, each = len(tokens[0]), kept / ENTRIES
            section.data[f"{algorithm}, {what}"] = {"characters": length, "bytes": each, "per character": each / length}
            rows.append([algorithm, f"{length:,}", f"{each:,.0f}", f"{each / length:.2f}"])
    columns = ["algorithm", "characters of the token", "bytes kept", "bytes per character"]
    section.tables.append(Table("Kept for one token", columns, rows))
    return section


def _held(material: Material, tokens: list[bytes], size: int) -> int:
    """Bytes that verifying the tokens leaves behind with a cache of this size."""
    settings: dict[str, Any] = {SETTING: size}
    config = configuration(material, **settings)
    # What the first token allocates once does not belong to the cache.
    verify_token(tokens[0], config)
    gc.collect()
    tracemalloc.start()
    for raw in tokens:
        # Several times, since a cache may wait until a token comes again. As copies, so that a token counts as well where
        # the cache keeps the token itself.
        for _ in range(3):
            verify_token(bytes(bytearray(raw)), config)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held
