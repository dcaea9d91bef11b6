"""A secret shows itself to nobody who doesn't ask for it by name."""

import copy
import json
import logging
import pickle
from collections.abc import Callable

import msgspec
import pytest

from protocol.secrets import Secret

VALUE = b"correct horse"


def test_reveal_gives_the_bytes_and_keeps_its_own() -> None:
    given = bytearray(VALUE)
    secret = Secret(given)
    given[:] = bytes(len(given))
    assert secret.reveal() == VALUE
    assert isinstance(secret.reveal(), bytes)


@pytest.mark.parametrize("show", [repr, str, ascii, lambda s: str([s])])
def test_it_shows_nothing(show: Callable[[Secret], str]) -> None:
    shown = show(Secret(VALUE))
    assert "<secret>" in shown
    assert "horse" not in shown


def test_a_log_has_nothing_of_it(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("test").warning("a secret: %s %r", Secret(VALUE), Secret(VALUE))
    assert "a secret: <secret> <secret>" in caplog.text
    assert "horse" not in caplog.text


@pytest.mark.parametrize(
    "use",
    [
        lambda secret: f"{secret}",
        lambda secret: format(secret, "s"),
        lambda secret: secret == Secret(VALUE),
        lambda secret: secret != VALUE,
        lambda secret: secret in [VALUE],
        hash,
        bool,
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        bytes,
        iter,
        len,
        vars,
        json.dumps,
        msgspec.msgpack.encode,
        lambda secret: secret + b"x",
        lambda secret: secret[0],
    ],
)
def test_what_would_let_it_out_is_refused(use: Callable[[Secret], object]) -> None:
    with pytest.raises(TypeError) as caught:
        use(Secret(VALUE))
    assert "horse" not in str(caught.value)


def test_secrets_are_compared_by_name() -> None:
    assert Secret(VALUE).matches(Secret(VALUE))
    assert not Secret(VALUE).matches(Secret(VALUE + b"x"))
    assert Secret(b"").is_empty()
    assert not Secret(b"\0").is_empty()


def test_a_wiped_secret_is_gone_and_says_so() -> None:
    with Secret(VALUE) as secret:
        buffer = secret._buffer
    assert buffer == bytes(len(VALUE))
    for use in (secret.reveal, secret.is_empty, lambda: secret.matches(Secret(b""))):
        with pytest.raises(ValueError, match="wiped"):
            use()
    secret.wipe()
    assert repr(secret) == "<secret>"
