"""What a custodian sees and does: pure decisions over evidence that `signer_agent.trust` gathered.

`review` is the one way to a `Review`, and only a `Review` can be approved; `filed`, `opening`,
`clocks`, `units`, `load` and `signers` are the rules that it asks, one subject a file; `screen` is
what is shown, which `layout` and `consequences` write. `approve`, `contribute` and `reject` make
what is sent, `filing` what is asked for, `receipts` says what happened, `policy` answers for people
who said so beforehand. Keys are opened in `signer_agent.keys`; no file or clock is read here.
"""
