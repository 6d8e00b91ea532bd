"""One application a module, with the same routes in each framework; `build(store)` makes it, guarded."""
