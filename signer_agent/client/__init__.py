"""How commands and scripts reach the agent of this machine's user."""
