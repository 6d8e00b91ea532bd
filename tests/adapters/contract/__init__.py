"""One suite that every framework's adapter passes."""
