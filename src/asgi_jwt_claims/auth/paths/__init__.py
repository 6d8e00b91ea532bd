"""What the path of a request decides: whether it needs a token, what the token must fulfil, and which endpoint answers."""
