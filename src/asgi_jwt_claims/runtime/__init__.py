"""What the library needs of the machine around it: tasks, callbacks, the log, the lifespan. Nothing here knows a token."""
