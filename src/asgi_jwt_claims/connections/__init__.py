"""WebSockets and responses of `text/event-stream` that end with their token. `states` says when and how."""
