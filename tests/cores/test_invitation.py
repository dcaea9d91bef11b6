"""The invitation: one line, read back whole or not at all; its token is never printed."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import canonical
from protocol.displayable import InstanceName, PersonName
from protocol.identifiers import IdentityKey
from protocol.session.invitation import PREFIX, Invitation, read_invitation, write_invitation
from protocol.violations import Violation

INVITATION = Invitation(
    url="https://quorate.example:7443",
    coordinator=IdentityKey(bytes(range(32))),
    log=IdentityKey(bytes(range(1, 33))),
    instance=InstanceName("ledger-eu"),
    practice=False,
    person=PersonName("bob"),
    token=bytes([7] * 32),
)


def test_it_is_one_line_and_reads_back():
    text = write_invitation(INVITATION)
    assert text.startswith("quorate-invitation-v1:") and text.isprintable() and " " not in text
    assert read_invitation(f"  {text}\n") == INVITATION


def test_it_does_not_show_its_token():
    shown = f"{INVITATION} {INVITATION!r}"
    assert "bob" in shown
    assert repr(INVITATION.token) not in shown and INVITATION.token.hex() not in shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        PREFIX,
        "quorate-invitation-v2:" + write_invitation(INVITATION).removeprefix(PREFIX),
        write_invitation(INVITATION)[:-4],
        write_invitation(INVITATION) + "AAAA",
        PREFIX + "!" * 40,
        PREFIX + "A" * 8000,
    ],
)
def test_what_was_cut_or_changed_is_refused(text: str):
    with pytest.raises(Violation):
        read_invitation(text)


def test_only_https_is_an_address():
    plain = {
        "url": "http://quorate.example",
        "coordinator": bytes(32),
        "log": bytes(32),
        "instance": "ledger-eu",
        "practice": False,
        "person": "bob",
        "token": bytes(32),
    }
    encoded = base64.urlsafe_b64encode(canonical.encode(plain)).rstrip(b"=").decode()
    with pytest.raises(Violation, match="url"):
        read_invitation(PREFIX + encoded)


@given(st.text(max_size=200))
def test_no_text_does_more_than_be_refused(text: str):
    with pytest.raises(Violation):
        read_invitation(PREFIX + text)
