"""Commands: what can be asked of a crypto unit, how many must sign it, what it changes.

`bodies` has the kinds and their parameters, `command` the envelope that is signed, `quorum` the
table of signatures, `rules` what each kind must pass, `effects` what it changes, `wording` how it
reads. Units, coordinator and agents all ask these; no rule exists twice.
"""
