"""The signature table: how many signatures each kind of command needs (DESIGN §5), as data."""

from enum import Enum, auto

from protocol.commands.bodies import (
    AddAdministrator,
    AddKeyUser,
    Body,
    ClearCurrentRegister,
    ClearNewRegister,
    CommitNewRegister,
    ExportKey,
    GenerateRandom,
    ImportKey,
    LoadNewRegister,
    RemoveAdministrator,
    RemoveKeyUser,
    SetAttribute,
    SetClock,
    SetControlPoint,
    SetImmediate,
    SetThresholds,
    Void,
    Zeroize,
)
from protocol.refusals import Refusal, Rule, refuse
from protocol.unit_state import Attribute, UnitState


class Need(Enum):
    """How many signatures, in the table's words."""

    NONE = auto()
    ONE = auto()
    SIGNATURE_THRESHOLD = auto()
    REVOCATION_THRESHOLD = auto()
    NEW_SIGNATURE_THRESHOLD = auto()
    THRESHOLD_CHANGE = auto()
    """The signature threshold; the larger of both where the revocation threshold is lowered."""
    ZEROIZE = auto()
    """One; the signature threshold where the attribute `zeroize-one` is off."""
    REFUSED = auto()


TABLE: dict[type[Body], tuple[Need, Need]] = {
    #                     imprint mode                  afterwards
    AddAdministrator: (Need.NONE, Need.SIGNATURE_THRESHOLD),
    RemoveAdministrator: (Need.NONE, Need.REVOCATION_THRESHOLD),
    SetThresholds: (Need.NEW_SIGNATURE_THRESHOLD, Need.THRESHOLD_CHANGE),
    LoadNewRegister: (Need.REFUSED, Need.ONE),
    CommitNewRegister: (Need.REFUSED, Need.SIGNATURE_THRESHOLD),
    SetImmediate: (Need.REFUSED, Need.ONE),
    ClearNewRegister: (Need.REFUSED, Need.ONE),
    ClearCurrentRegister: (Need.REFUSED, Need.ONE),
    Void: (Need.NONE, Need.ONE),
    SetClock: (Need.NONE, Need.SIGNATURE_THRESHOLD),
    SetControlPoint: (Need.REFUSED, Need.SIGNATURE_THRESHOLD),
    SetAttribute: (Need.REFUSED, Need.SIGNATURE_THRESHOLD),
    GenerateRandom: (Need.REFUSED, Need.ONE),
    ExportKey: (Need.REFUSED, Need.SIGNATURE_THRESHOLD),
    ImportKey: (Need.REFUSED, Need.ONE),
    AddKeyUser: (Need.REFUSED, Need.SIGNATURE_THRESHOLD),
    RemoveKeyUser: (Need.REFUSED, Need.SIGNATURE_THRESHOLD),
    Zeroize: (Need.NONE, Need.ZEROIZE),
}


def signatures_needed(body: Body, state: UnitState) -> int | Refusal:
    """How many administrators must sign `body` for a unit in `state`.

    The answer is a refusal, IMPRINT_MODE, where the unit won't run it however many sign.
    """
    imprint, afterwards = TABLE[type(body)]
    match imprint if state.imprint else afterwards, body:
        case Need.NONE, _:
            return 0
        case Need.ONE, _:
            return 1
        case Need.SIGNATURE_THRESHOLD, _:
            return state.signature_threshold
        case Need.REVOCATION_THRESHOLD, _:
            return state.revocation_threshold
        case Need.NEW_SIGNATURE_THRESHOLD, SetThresholds(signatures=signatures):
            return signatures
        case Need.THRESHOLD_CHANGE, SetThresholds(revocations=revocations):
            if revocations < state.revocation_threshold:
                return max(state.signature_threshold, state.revocation_threshold)
            return state.signature_threshold
        case Need.ZEROIZE, _:
            one = Attribute.ZEROIZE_ONE in state.attributes
            return 1 if one else state.signature_threshold
        case _:
            return refuse(Rule.IMPRINT_MODE, expected="thresholds of at least 1", found="0 and 0")
