"""What an agent keeps, in memory and on its disk, is the same: also when the disk is full."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator.workflow.filing import new_request
from protocol.commands.bodies import SetControlPoint
from protocol.request import RequestState
from protocol.session.messages import FileRequest, OfferKey, RequestNews
from protocol.signing.labels import Label
from protocol.signing.statements import sign_statement
from quorate.exits import Exit, Trouble
from signer_agent.kept import Kept
from signer_agent.store import AgentStore
from signer_agent.trust.charters import CharterBook
from tests.cast.charters import instance
from tests.cast.commands import NOON
from tests.cast.people import ALICE, BOB, INSTANCE
from tests.cast.requests import filing

BOOK = CharterBook(instance=INSTANCE, practice=True)


class FullAtCommit:
    """A connection to a disk that takes nothing: SQLite tells so when a transaction ends."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if sql == "COMMIT":
            raise sqlite3.OperationalError("database or disk is full")
        return self._connection.execute(sql, *parameters)

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    store = AgentStore(tmp_path / "agent.db")
    yield Kept.load(store, BOOK)
    store.close()


def test_a_step_that_the_disk_doesnt_take_is_remembered_nowhere(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
):
    """Or the next session would send what its person was told wasn't sent."""
    kept.keep_sent(OfferKey(key=ALICE.proven()), None)
    sent, selected = dict(kept.sent), kept.selected

    def change() -> None:
        with kept.step():
            kept.set_selected((BOB.key.ski,))
            kept.keep_sent(OfferKey(key=BOB.proven()), None)

    with monkeypatch.context() as patch:
        patch.setattr(kept.store, "_connection", FullAtCommit(kept.store._connection))
        with pytest.raises(Trouble, match="nothing was changed or sent") as caught:
            change()
        assert caught.value.exit is Exit.STORAGE
    assert (kept.sent, kept.selected) == (sent, selected)
    again = Kept.load(kept.store, BOOK)
    assert (again.sent, again.selected) == (sent, selected)
    change()
    again = Kept.load(kept.store, BOOK)
    assert (again.sent, again.selected) == (kept.sent, (BOB.key.ski,))
    assert len(again.sent) == 2


@pytest.mark.parametrize("key", ["nightly 7", None])
def test_a_filing_whose_answer_was_lost_is_filed_all_the_same(kept: Kept, key: str | None):
    """It was sent again by itself, ran, and ended before its answer came: then the news told."""
    charter, _, units = instance(3, 1)
    made = filing(charter, SetControlPoint(point=66, on=True), units)
    signed = sign_statement(Label.FILING, made, ALICE.identity.sign)
    kept.keep_sent(FileRequest(filing=signed, idempotency_key=key), None)
    request = new_request(7, made, signed.signature, at=NOON)
    kept.know_request(RequestNews(request=request, checkpoint=None))
    expected = {} if key is None else {key: 7}
    assert (len(kept.sent), kept.filed) == (1, expected)
    ended = request.but(state=RequestState.CANCELLED)
    kept.know_request(RequestNews(request=ended, checkpoint=None))
    assert (kept.sent, kept.filed) == ({}, expected)
    again = Kept.load(kept.store, BOOK)
    assert (again.sent, again.filed) == ({}, expected)
