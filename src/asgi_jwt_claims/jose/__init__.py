"""RFC 7515 to 7518 and RFC 8037: how tokens are framed, what JSON they hold, and how they are signed."""
