"""What the custodian's commands and their daemon say to each other over the local socket."""
