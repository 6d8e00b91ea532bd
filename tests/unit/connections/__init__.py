"""Connections that end with their token, driven by hand."""
