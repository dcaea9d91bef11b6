"""Accounts of operators, auditors and managers: roles, passwords, tokens, throttling.

No account can sign. Whatever happens to one is logged. `logins` says who comes in, `changes` what
managers and people do to accounts; the tables are in `coordinator.store.accounts`.
"""
