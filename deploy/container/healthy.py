"""Whether the server of a state directory answers: exit code 0 when it does, 1 when not.

`healthy.py DIR` reads where it listens from DIR/address and makes a TLS handshake with it. Nothing
is trusted or sent; the handshake shows that its event loop turns.
"""

import ipaddress
import socket
import ssl
import sys
from pathlib import Path

SECONDS = 4


def main(directory: Path) -> int:
    """One attempt."""
    try:
        host, _, port = (directory / "address").read_text().strip().rpartition(":")
        where = ipaddress.ip_address(host.strip("[]"))
        here = "127.0.0.1" if where.version == 4 else "::1"
        reached = here if where.is_unspecified else str(where)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with (
            socket.create_connection((reached, int(port)), timeout=SECONDS) as connection,
            context.wrap_socket(connection),
        ):
            return 0
    except (OSError, ValueError) as error:
        sys.stderr.write(f"no answer: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
