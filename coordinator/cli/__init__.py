"""The commands of those who run and use a coordinator."""
