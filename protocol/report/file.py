"""The report as a file: JSON with the summary for people and scripts, and the evidence.

It has exactly one spelling: a reader proves the evidence, writes the file again from what it
proved, and refuses any other bytes.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from protocol.charter import Charter
from protocol.report.evidence import SealedEvidence
from protocol.report.proof import Proven, ReportFails, prove
from protocol.report.summary import summarise
from protocol.schema import from_bytes, to_bytes
from protocol.violations import Violation

MAX_BYTES = 64 * 1024 * 1024
_FORMAT = "ceremony report 1"


@dataclass(frozen=True)
class VerifiedReport:
    """A report whose every byte was checked. Only `read_report` and `make_report` make one."""

    proven: Proven
    summary: dict[str, Any]
    data: bytes


def make_report(sealed: SealedEvidence, anchor: Charter | None) -> VerifiedReport:
    """Proves the evidence and writes the file."""
    proven = prove(sealed, anchor)
    summary = summarise(proven)
    content = {
        "quorate": _FORMAT,
        "summary": summary,
        "evidence": base64.b64encode(to_bytes(sealed)).decode(),
    }
    data = (json.dumps(content, indent=2, ensure_ascii=True) + "\n").encode()
    return VerifiedReport(proven=proven, summary=summary, data=data)


def read_report(data: bytes, anchor: Charter | None) -> VerifiedReport:
    """Verifies a report against the reader's own charter; ReportFails says what is wrong.

    Without `anchor` it is only consistent, and anchored to nothing.
    """
    if len(data) > MAX_BYTES:
        raise ReportFails("the file", expected=f"at most {MAX_BYTES} bytes", found=str(len(data)))
    try:
        content = json.loads(data)
        evidence = base64.b64decode(content["evidence"], validate=True)
    except (ValueError, KeyError, TypeError, binascii.Error, RecursionError):
        raise ReportFails("the file", expected="a ceremony report", found="another") from None
    try:
        parsed = from_bytes(SealedEvidence, evidence, limit=MAX_BYTES)
    except Violation as violation:
        raise ReportFails("the evidence", expected="well formed", found=str(violation)) from None
    verified = make_report(parsed, anchor)
    if verified.data != data:
        raise ReportFails(
            "the file", expected="exactly what its evidence proves", found="another byte"
        )
    return verified
