"""The version, in the one place that the build, the command and the logs read it from."""

VERSION = "0.1.0"
