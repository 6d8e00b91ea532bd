"""A real browser against applications on real sockets: `tox -e browser`. Needs Debian's `chromium` and `chromium-driver`."""
