"""Authenticate one request: find its token, verify it, and decide whether it passes."""
