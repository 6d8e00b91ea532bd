"""The settings for well-known identity providers, by their names."""
