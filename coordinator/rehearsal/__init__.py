"""Whole ceremonies on one machine: real processes, started and watched by their public commands.

`process` starts and ends one, `stack` all of an instance, `ceremony` drives them through a `plan`,
`cli` is `quorate demo`. `kit` is for whoever scripts ceremonies, `acting` what one can do in it,
`pytest_plugin` gives it to tests as fixtures.
"""
