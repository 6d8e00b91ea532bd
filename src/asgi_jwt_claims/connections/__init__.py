"""Connections that end with their token: WebSockets, and responses of `text/event-stream`.

A token is good until it expires or is revoked, and a connection that was opened with it must not outlive that. Three
things have to come together, and none of them may cancel the application, which is not ours to cancel:

- *when*: all connections of an event loop stand in one structure, by the quarter of a second in which their token
  ends, and by what a store of revocations knows their token by. One task looks after all of them, and only while there
  are any; it looks at the clock of the tokens every second, since that may be set. A connection costs an entry in a
  set, not a task and not a timer.
- *how*, if the application is waiting to receive: its waiting is broken off, and it is told that the client has gone.
  It closes nothing itself; the close, or the end of the stream, has been sent before it is told.
- *how*, if it is doing something else: the end is sent for it. Whatever it sends after that raises `ConnectionEndedError`,
  as sending to a client that has gone does.

Where the application is in the middle of sending, its message goes out first.
"""
