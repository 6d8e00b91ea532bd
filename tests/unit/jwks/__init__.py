"""Remote key sets, and keys of our own for others."""
