"""The ceremony report: evidence, what it proves, how it reads.

`evidence` is what is gathered, `proof` checks every piece of it, `summary` says in words what was
proven, `file` is the one spelling of both together.
"""
