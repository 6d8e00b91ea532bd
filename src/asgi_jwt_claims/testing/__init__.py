"""For the tests of applications: `StoreContract`, which every `TokenStore` has to fulfil."""

from .store_contract import StoreContract

__all__ = ["StoreContract"]
