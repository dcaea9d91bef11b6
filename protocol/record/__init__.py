"""The record: a Merkle log of everything that happens (RFC 6962 hashing, C2SP checkpoints).

`entries` says what a leaf is, `tree` grows the log and makes proofs, `proofs` checks them,
`checkpoints` signs and opens what the log promises. Storage of nodes and entries lives in
`coordinator.record`; what an agent remembers of a log lives in `signer_agent.trust`.
"""
