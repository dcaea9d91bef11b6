"""How operators' programs reach a coordinator: pinned TLS, a profile, typed calls, pushed events.

`profile` keeps what a person's programs know of a coordinator, `meeting` comes to know one,
`calls` is the API, `proof` checks what it says.
"""
