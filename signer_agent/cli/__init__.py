"""The custodians' commands. They ask the agent's daemon, and show what it answers."""
