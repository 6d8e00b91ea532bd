"""Stores of revocations and sessions, and the life of refresh tokens."""
