"""Whom and what the agent believes: charters, what it has seen of units, the log. All pure.

`charters` is the book of versions, `difference` what a new one changes, `memory` the newest state
seen of each unit and the signatures given, `witness` follows the log, `evidence` fetches and checks
what a judgement needs. What is made of it all is `signer_agent.desk`; where it is kept is
`signer_agent.store`.
"""
