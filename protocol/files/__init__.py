"""The formats of files that people carry: key files, reports.

Formats only: bytes in, types out. Who reads and writes the files (`signer_agent.keys`, the
commands) lives elsewhere, and so do the directories, modes and prompts.
"""
