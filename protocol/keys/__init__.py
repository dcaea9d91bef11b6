"""What key users and crypto units say to each other about root keys (DESIGN §5, Key storage).

`operations` is what is asked and signed, `answers` what a unit says, `blobs` what a client keeps of
a wrapped data key. How units keep root keys is theirs: `hsm_backend.keys`. The record is
`docs/decisions/0011-key-storage.md`.
"""
