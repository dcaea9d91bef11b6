"""Benchmarks: `python -m bench`. Each row stands beside its limit or peer, measured in the same run.

One file a row; `fleet` are a hundred agents in one process, `bare_server` is the limit of the first
row. Nothing here is installed. Rows say what is measured; what is aimed at stands in `rows`.
"""
