"""Whole ceremonies on one machine: real processes, started and watched by their public commands.

`process` starts and ends one, `stack` all of an instance, `ceremony` drives them, `cli` is `quorate
demo`. `kit` is for whoever scripts ceremonies, `pytest_plugin` gives it to tests as fixtures.
"""
