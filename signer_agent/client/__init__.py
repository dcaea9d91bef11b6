"""How commands reach those who act for a person: this user's own agent, or a coordinator.

`party` says what a command may want of either; `agent_client` asks a custodian's agent,
`operator_client` the coordinator itself, as an account that is logged in.
"""
