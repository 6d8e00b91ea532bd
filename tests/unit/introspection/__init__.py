"""Opaque tokens: an authorization server is asked about them."""
