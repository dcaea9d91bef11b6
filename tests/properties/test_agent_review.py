"""What you see is what you sign: no alteration of a request gets past what is shown.

Any one value anywhere in a request is altered, as an evil coordinator might. The review then
objects or calls it a violation; or it shows something else to decide on; or what would be signed
and sealed is the same, byte for byte.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.commands.bodies import CommitNewRegister
from protocol.schema import from_plain, to_plain
from protocol.session.messages import RequestNews
from protocol.violations import Violation
from signer_agent.desk.review import Review, review
from signer_agent.objections import Objection
from tests.cast.commands import load_of
from tests.cast.people import ALICE, BOB
from tests.cores.desk_world import Desk, World, world_with_desks

Path = tuple[int | str, ...]


@cache
def scene(load: bool) -> tuple[World, Desk, RequestNews, Review]:
    """Bob before a load, or before a commit that alice has signed."""
    world, (_, bob, _) = world_with_desks()
    parts = [(ALICE, ALICE.part()), (BOB, BOB.part())]
    if load:
        news = world.open(load_of(parts))
    else:
        for unit in world.units:
            unit.load(parts, [ALICE])
        vp = world.units[0].state.new.vp
        assert vp is not None
        news = world.signed_by(world.open(CommitNewRegister(vp=vp)), ALICE)
    return world, bob, news, bob.reviewed(news)


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """The places of all values that hold no others, and of all lists."""
    match value:
        case dict():
            for key, inner in value.items():
                yield from leaves(inner, (*path, key))
        case list() | tuple():
            yield path
            for number, inner in enumerate(value):
                yield from leaves(inner, (*path, number))
        case _:
            yield path


def altered(value: Any, path: Path, draw: st.DataObject) -> Any:
    """A copy with the value at `path` altered."""
    if not path:
        return draw.draw(another(value))
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = altered(copy[path[0]], path[1:], draw)
    return copy


def another(value: Any) -> st.SearchStrategy[Any]:
    """Another value that may stand in its place."""
    match value:
        case bool():
            return st.just(not value)
        case int():
            return st.sampled_from([value + 1, value - 1, 0, value + 86_400_000])
        case bytes():
            flipped = st.integers(0, max(len(value) - 1, 0)).map(
                lambda at: value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :] if value else b"x"
            )
            return st.one_of(flipped, st.just(bytes(len(value))), st.none())
        case str():
            return st.sampled_from([value + "x", value.upper(), "", "collecting", "ready"])
        case list() | tuple():
            whole = list(value)
            return st.sampled_from([whole[1:], whole[::-1], [*whole, *whole[:1]], []])
        case _:
            return st.sampled_from([bytes(32), 0, "x", False])


def what_would_be_given(found: Review) -> list[tuple[bytes, object]]:
    return [(target.command.signing_bytes(), target.importer) for target in found.targets]


@given(st.data(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_no_alteration_gets_past_what_is_shown(data: st.DataObject, load: bool):
    world, bob, news, honest = scene(load)
    plain = to_plain(news)
    path = data.draw(st.sampled_from(list(leaves(plain))))
    try:
        bent = from_plain(RequestNews, altered(plain, path, data))
        evidence = bob.gather(bent)
        found = review(bent, bob.seat, evidence, world.now)
    except Violation:
        return
    if isinstance(found, Objection) or found.screen.decided_on != honest.screen.decided_on:
        return
    assert what_would_be_given(found) == what_would_be_given(honest), path
