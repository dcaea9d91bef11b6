"""Ceremonies: what is to be reached, and which command leads there next."""
