"""Running ceremonies: what a run remembers, and how it sees the units."""
