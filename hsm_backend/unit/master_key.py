"""Loading a master key: the named parts are opened inside the unit and XORed.

The public rules of a load (two or three parts, an empty register) are in `protocol.commands.rules`;
here is what needs the importer key's private half and the current key.
"""

from hsm_backend.unit.memory import HeldImporterKey, Memory
from protocol.commands.bodies import LoadNewRegister, NamedPart
from protocol.commands.command import Command, Contribution
from protocol.identifiers import short
from protocol.refusals import Refusal, Rule, refuse
from protocol.sealing.contribution import SealedPart, open_contribution, unseal_part, vp_of
from protocol.secrets import Secret
from protocol.violations import Violation


def assemble(
    memory: Memory, command: Command, load: LoadNewRegister, given: tuple[Contribution, ...]
) -> Secret | Refusal:
    """The master key that the parts make, or the first rule that refuses them."""
    importer = importer_key_of(memory, command)
    if isinstance(importer, Refusal):
        return importer
    key = bytes(32)
    for named in load.parts:
        sealed = part_given_by_its_author(command, named, given)
        if isinstance(sealed, Refusal):
            return sealed
        value = unseal_part(sealed, command, importer.private.reveal())
        if isinstance(value, Refusal):
            return value
        key = bytes(a ^ b for a, b in zip(key, value, strict=True))
    return same_key_again(memory, key) or Secret(key)


def importer_key_of(memory: Memory, command: Command) -> HeldImporterKey | Refusal:
    """IMPORTER_KEY_UNKNOWN: made here, in this life and state, for this very request."""
    for held in memory.importer_keys:
        public = held.public
        if (public.digest, public.request) == (command.importer, command.request):
            return held
    return refuse(
        Rule.IMPORTER_KEY_UNKNOWN,
        expected="an importer key made for this request and state",
        found=short(command.importer or b""),
    )


def part_given_by_its_author(
    command: Command, named: NamedPart, given: tuple[Contribution, ...]
) -> SealedPart | Refusal:
    """PART_MISSING, PART_AUTHOR: each named part came, signed by the custodian named for it."""
    stranger: str | None = None
    for contribution in given:
        try:
            part = open_contribution(contribution)
        except Violation as violation:
            stranger = str(violation)
            continue
        if part.vp != named.vp or part.load != command.id:
            continue
        if part.custodian == named.custodian:
            return part
        stranger = f"custodian {short(part.custodian)}"
    if stranger is not None:
        return refuse(
            Rule.PART_AUTHOR,
            expected=f"part {named.vp.hex()} signed by custodian {short(named.custodian)}",
            found=stranger,
        )
    return refuse(Rule.PART_MISSING, expected=f"part {named.vp.hex()}", found="none")


def same_key_again(memory: Memory, key: bytes) -> Refusal | None:
    """SAME_KEY_AGAIN: at least one part that the current key doesn't have."""
    vp = vp_of(key)
    if memory.state.current.vp != vp:
        return None
    return refuse(Rule.SAME_KEY_AGAIN, expected="another key than the current one", found=vp.hex())
