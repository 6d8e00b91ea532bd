"""The APIs of older libraries, name for name, on this library's core: for moving house without rewriting it."""
