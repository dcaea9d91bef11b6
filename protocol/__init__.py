"""What every party of a ceremony shares: words, bytes and rules.

Everything here is pure: no sockets, files, clocks or randomness but what is passed in.
What does input and output lives in `hsm_backend`, `signer_agent` and `coordinator`.
"""
