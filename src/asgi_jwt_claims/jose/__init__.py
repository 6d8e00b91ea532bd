"""RFC 7515 to 7518 and RFC 8037: the framing of tokens, their JSON, and their signatures."""
