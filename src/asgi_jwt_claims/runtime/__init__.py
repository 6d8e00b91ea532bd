"""Tasks, callbacks, logging, the lifespan and durations. Nothing here knows a token."""
