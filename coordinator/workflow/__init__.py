"""The course of requests, pure: events and the time in, the new request out.

`filing` is what a filing must pass, `line` who comes first on which unit, `counting` whose
signatures count, `course` what every event does.
"""
