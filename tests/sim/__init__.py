"""The simulator: every decision core in one process, on a virtual clock, in bad weather.

`world` is time, parties and the trace; `weather` what goes wrong, by a seed; `network` how parties
reach each other; `unit`, `coordinator` and `agent` are parties around the real cores, with a disk
that survives a crash and a memory that doesn't; `ceremony` is what people want to get done;
`invariants` what must hold after every step, written without the code that it checks. No process,
file, socket, sleep or clock.
"""
