"""A custodian's secrets on this machine: signature keys, key parts, the agent's identity.

What the files look like is `protocol.files.keyfile`; here they are made, found, opened, copied.
Which of them are asked for, and by whom, is decided elsewhere (`signer_agent.desk`). Passwords
come in as `Secret`s; nothing here prompts.
"""
