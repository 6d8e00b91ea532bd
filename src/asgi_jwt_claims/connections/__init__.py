"""WebSockets and responses of `text/event-stream` that end with their token. `states` says when and how.

All open connections of an event loop stand in one registry, by the quarter of a second in which their token ends and by
the digests under which a store would revoke it. One task serves them all, and only while there are any. It reads the
clock of the tokens every second, since a clock can be set. A connection costs an entry in a set, no task and no timer.
"""
