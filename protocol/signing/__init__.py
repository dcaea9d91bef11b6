"""Signatures: labels, algorithms, what a command's signing bytes are, words to compare."""
