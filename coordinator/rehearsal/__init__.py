"""Whole ceremonies on one machine: real processes, started and watched by their public commands.

`stack` starts and ends them, `ceremony` drives them, `cli` is `quorate demo`, `pytest_plugin` is
the test kit for whoever scripts ceremonies.
"""
