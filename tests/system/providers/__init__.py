"""Foreign software on the other side: an OpenID provider and a JOSE library of another language."""
