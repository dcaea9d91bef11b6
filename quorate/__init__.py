"""The `quorate` command, and what every process shares at its rim.

Here live the root command, exit codes, terminal, prompts, settings, private files, TLS, logs and
the clock. What commands do lives in the packages that the root command finds by name; words and
rules live in `protocol`.
"""
