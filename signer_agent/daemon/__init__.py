"""The agent's daemon: the link to the coordinator, the local socket, and what is done between."""
