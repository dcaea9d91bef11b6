"""What key files here hold that the instance wasn't told: made while nobody could tell it.

A key's offer lies beside its file, a part's announcement follows from its header; so neither needs
a password, and whatever dies between writing a file and telling of it, the next start tells.
"""

from collections.abc import Callable

from protocol.claims import ProvenKey
from protocol.displayable import PersonName
from protocol.identifiers import IdentityKey
from protocol.request import open_announcement
from protocol.session.messages import Accept, Announce, OfferKey
from signer_agent.directory import AgentDirectory, AgentSettings
from signer_agent.kept import Kept
from signer_agent.keys import part_files, signature_files
from signer_agent.keys.part_files import PartFile
from signer_agent.trust.charters import own_acceptance


def untold_keys(
    directory: AgentDirectory, settings: AgentSettings, agent: IdentityKey, kept: Kept
) -> list[OfferKey]:
    """The offers of signature keys that the feed never told of, nor the outbox holds."""
    told = set(kept.keys)
    for sent in kept.sent.values():
        if isinstance(sent.publication, OfferKey):
            told.add(sent.publication.key.ski)
    offers = map(signature_files.offer_of, signature_files.list_in(directory.keys).usable)
    return [
        OfferKey(key=key)
        for key in offers
        if key is not None and key.ski not in told and _mine(key, settings, agent)
    ]


def untold_parts(
    directory: AgentDirectory,
    settings: AgentSettings,
    agent: IdentityKey,
    kept: Kept,
    announce: Callable[[PartFile], Announce],
) -> list[Announce]:
    """Announcements of the key parts that were never announced, nor withdrawn."""
    told = {vp for custodian, vp in kept.parts if custodian == agent}
    for sent in kept.sent.values():
        if isinstance(sent.publication, Announce):
            told.add(open_announcement(sent.publication.announcement).vp)
    return [
        announce(part)
        for part in part_files.list_in(directory.keys).usable
        if part.vp not in told and part.practice == settings.practice
    ]


def untold_acceptance(kept: Kept, me: PersonName) -> list[Accept]:
    """The Yes to a version that isn't in force, if it waits nowhere to be sent.

    It was refused, by a coordinator that hadn't heard of the version yet.
    """
    signed = own_acceptance(kept.book, me)
    sent = {
        one.publication.acceptance
        for one in kept.sent.values()
        if isinstance(one.publication, Accept)
    }
    return [] if signed is None or signed in sent else [Accept(acceptance=signed)]


def _mine(key: ProvenKey, settings: AgentSettings, agent: IdentityKey) -> bool:
    claim = key.claim
    return (claim.instance, claim.practice, claim.person, claim.agent) == (
        settings.instance,
        settings.practice,
        settings.person,
        agent,
    )
