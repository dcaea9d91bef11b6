"""Makes the workflow happen: load, decide, save; then tell people and ask units.

`units` reaches the crypto units and follows their histories; `ledger` is the one transaction in
which everything that changes is stored, logged and told; `publications` takes in what people send;
`charters` brings charters into force; `pursuit` does for each request what it wants next.
"""
