"""The HTTP API under /v1/, for operators, auditors and managers: JSON in, JSON out.

`table` lists every route with who may use it, what it takes and what it answers; OpenAPI, the
checks and the tests follow from it. `dispatch` does for each call what all have in common. Agents
have a gateway of their own, `coordinator.agents`.
"""
