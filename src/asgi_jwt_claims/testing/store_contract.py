"""`StoreContract`: the tests that every store of revocations and sessions has to pass."""

from __future__ import annotations

from ._revocations import RevocationContract
from ._sessions import SessionContract

__all__ = ["StoreContract"]


class StoreContract(RevocationContract, SessionContract):
    """Tests of a `TokenStore`, for any runner of async tests. Subclass it, and write how to open two stores.

    ::

        @pytest.mark.anyio
        class TestMyStore(StoreContract):
            @asynccontextmanager
            async def open_stores(self):
                place = ...  # an empty one
                yield MyStore(place), MyStore(place)

    Attributes:
        lag: How long it may take until one store knows what another has revoked, or that its place is out of reach, in
            seconds. 0 if it must know at once.
        one_loop: Whether an open store belongs to the event loop that it was opened in. If False, event loops in several
            threads share it, which is tested.
    """
