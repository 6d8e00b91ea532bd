"""Programs that type checkers verify; nothing here is run."""
