"""The catalogue of refusals: every No that a rule of the protocol can say.

A refusal is a value, not an exception: the rules were asked and answered. It names the rule and
carries the values compared, so that whoever is refused can see why. Where crypto units of the
field have a return and a reason code for it, the catalogue gives them.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import msgspec

from protocol.schema import Struct


class Rule(StrEnum):
    """Each rule by name; `FACTS` says what it means."""

    # what every command must pass
    WRONG_UNIT = "WRONG_UNIT"
    WRONG_INCARNATION = "WRONG_INCARNATION"
    STATE_CHANGED = "STATE_CHANGED"
    NOT_YET_VALID = "NOT_YET_VALID"
    EXPIRED = "EXPIRED"
    VALID_TOO_LONG = "VALID_TOO_LONG"
    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    SIGNER_UNKNOWN = "SIGNER_UNKNOWN"
    TOO_FEW_SIGNATURES = "TOO_FEW_SIGNATURES"
    IMPRINT_MODE = "IMPRINT_MODE"
    # administrators and thresholds
    ADMINISTRATOR_NAME = "ADMINISTRATOR_NAME"
    ADMINISTRATOR_KEY = "ADMINISTRATOR_KEY"
    ADMINISTRATOR_EXISTS = "ADMINISTRATOR_EXISTS"
    TOO_MANY_ADMINISTRATORS = "TOO_MANY_ADMINISTRATORS"
    NO_SUCH_ADMINISTRATOR = "NO_SUCH_ADMINISTRATOR"
    REMOVAL_LEAVES_THRESHOLD = "REMOVAL_LEAVES_THRESHOLD"
    SIGNATURE_THRESHOLD_RANGE = "SIGNATURE_THRESHOLD_RANGE"
    REVOCATION_THRESHOLD_RANGE = "REVOCATION_THRESHOLD_RANGE"
    THRESHOLD_ABOVE_ADMINISTRATORS = "THRESHOLD_ABOVE_ADMINISTRATORS"
    REVOCATION_ABOVE_ADMINISTRATORS = "REVOCATION_ABOVE_ADMINISTRATORS"
    # master key registers
    PART_COUNT = "PART_COUNT"
    PART_TWICE = "PART_TWICE"
    PART_MISSING = "PART_MISSING"
    PART_UNREADABLE = "PART_UNREADABLE"
    PART_MISMATCH = "PART_MISMATCH"
    PART_AUTHOR = "PART_AUTHOR"
    IMPORTER_KEY_UNKNOWN = "IMPORTER_KEY_UNKNOWN"
    NEW_REGISTER_NOT_EMPTY = "NEW_REGISTER_NOT_EMPTY"
    NEW_REGISTER_NOT_UNCOMMITTED = "NEW_REGISTER_NOT_UNCOMMITTED"
    NEW_REGISTER_NOT_COMMITTED = "NEW_REGISTER_NOT_COMMITTED"
    REGISTER_EMPTY = "REGISTER_EMPTY"
    VP_MISMATCH = "VP_MISMATCH"
    SAME_KEY_AGAIN = "SAME_KEY_AGAIN"
    # recovery units
    NOT_A_RECOVERY_UNIT = "NOT_A_RECOVERY_UNIT"
    RECEIVERS = "RECEIVERS"
    RECEIVER_UNPROVEN = "RECEIVER_UNPROVEN"
    RECEIVER_UNLIKE = "RECEIVER_UNLIKE"
    EXPORT_UNPROVEN = "EXPORT_UNPROVEN"
    COPY_UNREADABLE = "COPY_UNREADABLE"
    # the rest
    CONTROL_POINT_UNKNOWN = "CONTROL_POINT_UNKNOWN"
    ATTRIBUTE_UNKNOWN = "ATTRIBUTE_UNKNOWN"
    # key users
    KEY_USER_NAME = "KEY_USER_NAME"
    KEY_USER_KEY = "KEY_USER_KEY"
    KEY_USER_RIGHTS = "KEY_USER_RIGHTS"
    KEY_USER_EXISTS = "KEY_USER_EXISTS"
    TOO_MANY_KEY_USERS = "TOO_MANY_KEY_USERS"
    NO_SUCH_KEY_USER = "NO_SUCH_KEY_USER"
    # key storage
    KEY_USER_UNKNOWN = "KEY_USER_UNKNOWN"
    KEY_RIGHT = "KEY_RIGHT"
    KEY_REQUEST_TIME = "KEY_REQUEST_TIME"
    KEY_REQUEST_AGAIN = "KEY_REQUEST_AGAIN"
    NO_MASTER_KEY = "NO_MASTER_KEY"
    OTHER_MASTER_KEY = "OTHER_MASTER_KEY"
    STORAGE_ROLLED_BACK = "STORAGE_ROLLED_BACK"
    STORAGE_ALTERED = "STORAGE_ALTERED"
    KEY_NAME = "KEY_NAME"
    KEY_EXISTS = "KEY_EXISTS"
    TOO_MANY_KEYS = "TOO_MANY_KEYS"
    NO_SUCH_KEY = "NO_SUCH_KEY"
    KEY_DELETED = "KEY_DELETED"
    KEY_MOVED_ON = "KEY_MOVED_ON"
    RETENTION_PASSED = "RETENTION_PASSED"
    BLOB_DAMAGED = "BLOB_DAMAGED"
    BLOB_OF_ANOTHER_INSTANCE = "BLOB_OF_ANOTHER_INSTANCE"
    ASSOCIATED_DATA = "ASSOCIATED_DATA"
    # the queue
    NO_SUCH_REQUEST = "NO_SUCH_REQUEST"
    REQUEST_ENDED = "REQUEST_ENDED"
    REQUEST_NOT_OPEN = "REQUEST_NOT_OPEN"
    SAME_REQUEST_OPEN = "SAME_REQUEST_OPEN"
    SIGNED_BEFORE = "SIGNED_BEFORE"
    SIGNATURE_NOT_WANTED = "SIGNATURE_NOT_WANTED"
    PART_NOT_WANTED = "PART_NOT_WANTED"
    UNIT_NOT_IN_CHARTER = "UNIT_NOT_IN_CHARTER"
    NOT_IN_CHARTER = "NOT_IN_CHARTER"
    BELOW_FLOOR = "BELOW_FLOOR"
    CHARTER_NOT_IN_FORCE = "CHARTER_NOT_IN_FORCE"
    CHARTER_DOES_NOT_FOLLOW = "CHARTER_DOES_NOT_FOLLOW"
    VOID_ORIGIN = "VOID_ORIGIN"
    QUEUE_FULL = "QUEUE_FULL"
    NOT_YOUR_REQUEST = "NOT_YOUR_REQUEST"
    IDEMPOTENCY_KEY_USED = "IDEMPOTENCY_KEY_USED"
    LOG_SHORTER = "LOG_SHORTER"
    # accounts
    NOT_YOURS = "NOT_YOURS"
    NOT_LOGGED_IN = "NOT_LOGGED_IN"
    LOGIN_REFUSED = "LOGIN_REFUSED"
    TOO_MANY_ATTEMPTS = "TOO_MANY_ATTEMPTS"
    PASSWORD_LENGTH = "PASSWORD_LENGTH"  # noqa: S105 - the name of a rule
    NO_SUCH_ACCOUNT = "NO_SUCH_ACCOUNT"
    ACCOUNT_EXISTS = "ACCOUNT_EXISTS"
    LAST_MANAGER = "LAST_MANAGER"
    NO_SUCH_TOKEN = "NO_SUCH_TOKEN"  # noqa: S105
    TOO_MANY_TOKENS = "TOO_MANY_TOKENS"
    NO_SUCH_INVITATION = "NO_SUCH_INVITATION"


@dataclass(frozen=True)
class Facts:
    """What a rule says, and the field's codes for it (IBM's return and reason) where they exist.

    `can_still_run`: the same command may run later, by time or with other signatures or parts.
    """

    says: str
    next_step: str
    returns: int | None = None
    reason: int | None = None
    can_still_run: bool = False


_SIGN_AGAIN = "file it again, so that it is signed for the unit as it is now"
_CHOOSE = "choose a number within the range"
FACTS: dict[Rule, Facts] = {
    Rule.WRONG_UNIT: Facts("the command is for another crypto unit", "send it there", 3),
    Rule.WRONG_INCARNATION: Facts(
        "the command is for another life of this crypto unit; it was zeroized or restored since",
        _SIGN_AGAIN,
        163,
    ),
    Rule.STATE_CHANGED: Facts(
        "the crypto unit isn't in the state that the signers saw", _SIGN_AGAIN, 163
    ),
    Rule.NOT_YET_VALID: Facts(
        "the command isn't valid yet", "wait until it is", can_still_run=True
    ),
    Rule.EXPIRED: Facts("the command has expired, or would within a minute", "file it again"),
    Rule.VALID_TOO_LONG: Facts(
        "the command would be valid for more than 7 days", "sign it for a shorter time"
    ),
    Rule.SIGNATURE_INVALID: Facts(
        "a signature doesn't verify for this command",
        "have that administrator sign again",
        192,
        can_still_run=True,
    ),
    Rule.SIGNER_UNKNOWN: Facts(
        "a signature is by somebody who is no administrator of this crypto unit",
        "collect signatures of installed administrators",
        257,
        can_still_run=True,
    ),
    Rule.TOO_FEW_SIGNATURES: Facts(
        "too few administrators have signed", "collect what is missing", 208, can_still_run=True
    ),
    Rule.IMPRINT_MODE: Facts(
        "a crypto unit in imprint mode doesn't run this command", "set the thresholds first"
    ),
    Rule.ADMINISTRATOR_NAME: Facts(
        "an administrator's name has 1 to 30 letters, digits, blanks or any of '()+,-./:=?",
        "choose another name",
        7,
    ),
    Rule.ADMINISTRATOR_KEY: Facts(
        "the key doesn't prove that its owner offered it for this name",
        "have its owner offer it again",
        193,
    ),
    Rule.ADMINISTRATOR_EXISTS: Facts(
        "that key is an administrator's already", "choose another key", 256, 38
    ),
    Rule.TOO_MANY_ADMINISTRATORS: Facts(
        "a crypto unit holds at most 8 administrators",
        "remove one: quorate tke cryptounit-admin-rm",
        261,
        39,
    ),
    Rule.NO_SUCH_ADMINISTRATOR: Facts(
        "no administrator of the crypto unit has that key",
        "look who is installed: quorate tke cryptounit-admins",
        32,
        32,
    ),
    Rule.REMOVAL_LEAVES_THRESHOLD: Facts(
        "those who stay could no longer meet both thresholds",
        "lower the thresholds first, or add an administrator",
        209,
        66,
    ),
    Rule.SIGNATURE_THRESHOLD_RANGE: Facts(
        "the signature threshold must be 1 to 8", _CHOOSE, 209, 76
    ),
    Rule.REVOCATION_THRESHOLD_RANGE: Facts(
        "the revocation signature threshold must be 1 to 8", _CHOOSE, 209, 77
    ),
    Rule.THRESHOLD_ABOVE_ADMINISTRATORS: Facts(
        "the signature threshold would be above the number of administrators",
        "choose a lower one, or add an administrator first",
        209,
        57,
    ),
    Rule.REVOCATION_ABOVE_ADMINISTRATORS: Facts(
        "the revocation signature threshold would be above the number of administrators",
        "choose a lower one, or add an administrator first",
        209,
        58,
    ),
    Rule.PART_COUNT: Facts("a master key has two or three parts", "name two or three parts", 7),
    Rule.PART_TWICE: Facts("the same key part is named twice", "name different parts", 7),
    Rule.PART_MISSING: Facts(
        "a named key part hasn't come", "have its custodian give it", 33, can_still_run=True
    ),
    Rule.PART_UNREADABLE: Facts(
        "a key part can't be opened with the importer key",
        "have its custodian give it again",
        32,
        can_still_run=True,
    ),
    Rule.PART_MISMATCH: Facts(
        "a key part isn't the one that was named",
        "have its custodian look for the right file",
        32,
        can_still_run=True,
    ),
    Rule.PART_AUTHOR: Facts(
        "a key part isn't signed by the custodian who was named for it",
        "have that custodian give it",
        192,
        can_still_run=True,
    ),
    Rule.IMPORTER_KEY_UNKNOWN: Facts(
        "the crypto unit has no such importer key for this request and state", _SIGN_AGAIN, 80, 80
    ),
    Rule.NEW_REGISTER_NOT_EMPTY: Facts(
        "the new master key register isn't empty",
        "clear it first: quorate tke cryptounit-mk-clrnew",
        80,
    ),
    Rule.NEW_REGISTER_NOT_UNCOMMITTED: Facts(
        "the new master key register holds no uncommitted key", "load it first", 80
    ),
    Rule.NEW_REGISTER_NOT_COMMITTED: Facts(
        "the new master key register holds no committed key", "commit it first", 80
    ),
    Rule.REGISTER_EMPTY: Facts("the register is empty already", "nothing", 80),
    Rule.VP_MISMATCH: Facts(
        "the register holds another key than the one that was named",
        "look at the registers: quorate tke cryptounit-mk",
        101,
        48,
    ),
    Rule.SAME_KEY_AGAIN: Facts(
        "it is the key that the current register holds already",
        "take at least one other part, or nothing: the unit has it",
        80,
        80,
    ),
    Rule.NOT_A_RECOVERY_UNIT: Facts(
        "only a recovery unit makes a random master key or exports one",
        "choose a recovery unit of the instance",
    ),
    Rule.RECEIVERS: Facts(
        "an export names its receivers and the vendor roots of their certificates, each once",
        "name them in ascending order",
    ),
    Rule.RECEIVER_UNPROVEN: Facts(
        "a receiver's certificate, state or importer key doesn't hold", _SIGN_AGAIN
    ),
    Rule.RECEIVER_UNLIKE: Facts(
        "a receiver hasn't the administrators and thresholds of the recovery unit",
        "make them the same first: quorate tke cryptounit-compare",
    ),
    Rule.EXPORT_UNPROVEN: Facts(
        "the receipt that came along isn't of that export, of that key, for this crypto unit",
        "export the key again",
        can_still_run=True,
    ),
    Rule.COPY_UNREADABLE: Facts(
        "the exported copy can't be opened with the importer key", "export the key again"
    ),
    Rule.CONTROL_POINT_UNKNOWN: Facts(
        "there is no such control point", "choose a number from 0 to 127", 80, 46
    ),
    Rule.ATTRIBUTE_UNKNOWN: Facts("there is no such attribute", "choose: zeroize-one", 7),
    Rule.KEY_USER_NAME: Facts(
        "a key user's name has 1 to 64 letters, digits, blanks or any of '()+,-./:=?",
        "choose another name",
        7,
    ),
    Rule.KEY_USER_KEY: Facts(
        "that isn't an Ed25519 public key", "ask the key user for theirs: quorate keys identity", 7
    ),
    Rule.KEY_USER_RIGHTS: Facts(
        "a key user has one right or more, each once", "choose: create, delete, unwrap, wrap", 7
    ),
    Rule.KEY_USER_EXISTS: Facts(
        "a key user has that name or that key already",
        "remove it first: quorate key-user rm; or choose another name",
    ),
    Rule.TOO_MANY_KEY_USERS: Facts(
        "a crypto unit holds at most 64 key users", "remove one: quorate key-user rm"
    ),
    Rule.NO_SUCH_KEY_USER: Facts(
        "no key user of the crypto unit has that key", "look: quorate key-user list"
    ),
    Rule.KEY_USER_UNKNOWN: Facts(
        "the crypto unit has no such key user",
        "have a quorum install the key: quorate key-user add",
    ),
    Rule.KEY_RIGHT: Facts(
        "the key user may not do that",
        "have a quorum give the right: quorate key-user rm, then add",
    ),
    Rule.KEY_REQUEST_TIME: Facts(
        "the call's time is more than a minute from the crypto unit's",
        "mend this machine's clock, or look at the unit's: quorate unit clock",
    ),
    Rule.KEY_REQUEST_AGAIN: Facts(
        "the crypto unit has had this very call before", "sign a new one: ask again"
    ),
    Rule.NO_MASTER_KEY: Facts(
        "the crypto unit's current master key register is empty",
        "ask another unit; or load a master key: quorate tke cryptounit-mk-load",
    ),
    Rule.OTHER_MASTER_KEY: Facts(
        "key storage is under another master key than the crypto unit's, which may be an older one",
        "ask another unit; compare the units: quorate tke cryptounit-compare",
    ),
    Rule.STORAGE_ROLLED_BACK: Facts(
        "key storage lacks what the crypto unit has seen in it: its database was put back",
        "find the newest copy of the database, and out who did it",
    ),
    Rule.STORAGE_ALTERED: Facts(
        "the database of key storage isn't as crypto units wrote it",
        "put a good copy of the database back, and find out who changed it",
    ),
    Rule.KEY_NAME: Facts(
        "a key's name has at most 64 letters, digits, blanks or any of '()+,-./:=?",
        "choose another name",
    ),
    Rule.KEY_EXISTS: Facts("another key has that id", "draw another id"),
    Rule.TOO_MANY_KEYS: Facts(
        "key storage holds as many keys as it can",
        "delete some: their room is free when they can't be restored any more",
    ),
    Rule.NO_SUCH_KEY: Facts("there is no such key", "look: quorate keys list"),
    Rule.KEY_DELETED: Facts(
        "the key is deleted", "while its time lasts: quorate keys restore; else nothing"
    ),
    Rule.KEY_MOVED_ON: Facts(
        "something has happened to the key since you looked",
        "look again: quorate keys show; then decide again",
    ),
    Rule.RETENTION_PASSED: Facts(
        "the key was deleted too long ago to be restored", "nothing brings it back"
    ),
    Rule.BLOB_DAMAGED: Facts("the wrapped key isn't as it was written", "find your copy of it"),
    Rule.BLOB_OF_ANOTHER_INSTANCE: Facts(
        "the wrapped key belongs to another service instance", "ask that instance's units"
    ),
    Rule.ASSOCIATED_DATA: Facts(
        "the associated data aren't those that the key was wrapped with, or somebody changed it",
        "give what was given when it was wrapped",
    ),
    Rule.NO_SUCH_REQUEST: Facts("no such request is open", "quorate agent pending"),
    Rule.REQUEST_ENDED: Facts("the request has ended", "refile it if it is still wanted"),
    Rule.REQUEST_NOT_OPEN: Facts(
        "the request still waits in line; nobody is asked yet", "wait until it is opened"
    ),
    Rule.SAME_REQUEST_OPEN: Facts("the same command is open already", "look at that request"),
    Rule.SIGNED_BEFORE: Facts(
        "that key has signed the request before; one key counts once", "nothing"
    ),
    Rule.SIGNATURE_NOT_WANTED: Facts(
        "a signature that doesn't count for this request",
        "sign with an installed administrator's key",
    ),
    Rule.PART_NOT_WANTED: Facts(
        "a key part that the request doesn't name", "look for the right file: quorate tke mks"
    ),
    Rule.UNIT_NOT_IN_CHARTER: Facts(
        "the charter in force doesn't hold that crypto unit", "choose units of the instance"
    ),
    Rule.NOT_IN_CHARTER: Facts(
        "the charter in force doesn't hold that person or key",
        "have all accept a charter that does: quorate charter new",
    ),
    Rule.BELOW_FLOOR: Facts(
        "the thresholds would be below the charter's least",
        "choose what the charter allows, or have all accept one that allows less",
    ),
    Rule.CHARTER_NOT_IN_FORCE: Facts(
        "no version of the charter is in force yet", "have all accept it: quorate charter accept"
    ),
    Rule.CHARTER_DOES_NOT_FOLLOW: Facts(
        "the charter doesn't follow the newest version", "make it anew: quorate charter new"
    ),
    Rule.VOID_ORIGIN: Facts(
        "a void is only for a request that ended with signed copies out",
        "cancel it first, if it is still open; else no signed copy of it can run",
    ),
    Rule.QUEUE_FULL: Facts("the queue is full", "let requests end, or cancel some"),
    Rule.LOG_SHORTER: Facts(
        "the log has fewer entries than were asked about", "call the others: was it rolled back?"
    ),
    Rule.NOT_YOUR_REQUEST: Facts(
        "somebody else filed that request",
        "say No to it: quorate agent reject ID; or ask who filed it, or an operator",
    ),
    Rule.IDEMPOTENCY_KEY_USED: Facts(
        "that idempotency key was used for another command", "choose another key"
    ),
    Rule.NOT_YOURS: Facts("your account's role doesn't allow that", "ask an operator or manager"),
    Rule.NOT_LOGGED_IN: Facts(
        "you aren't logged in, or no longer", "log in: quorate login URL --as NAME"
    ),
    Rule.LOGIN_REFUSED: Facts(
        "the name or the password is wrong, or the token isn't good any more",
        "try again; a manager can give you a new one-time login: quorate accounts token NAME",
    ),
    Rule.TOO_MANY_ATTEMPTS: Facts("too many attempts to log in", "wait, then try again"),
    Rule.PASSWORD_LENGTH: Facts("the password is too short or too long", "choose another"),
    Rule.NO_SUCH_ACCOUNT: Facts(
        "there is no such account", "look who has one: quorate accounts list"
    ),
    Rule.ACCOUNT_EXISTS: Facts("there is an account of that name already", "choose another name"),
    Rule.LAST_MANAGER: Facts(
        "nobody could manage accounts any more", "make somebody else a manager first"
    ),
    Rule.NO_SUCH_TOKEN: Facts("there is no such token", "look: quorate accounts tokens"),
    Rule.TOO_MANY_TOKENS: Facts(
        "the account has as many tokens as one can have", "revoke some: quorate accounts revoke ID"
    ),
    Rule.NO_SUCH_INVITATION: Facts(
        "there is no such invitation, or it was used", "look: quorate invite --list"
    ),
}

_LONGEST = 400
_Compared = Annotated[str, msgspec.Meta(max_length=_LONGEST)]


class Refusal(Struct):
    """A rule's No with the two values that it compared."""

    rule: Rule
    expected: _Compared
    found: _Compared

    @property
    def facts(self) -> Facts:
        """What the rule says, and its codes."""
        return FACTS[self.rule]


def refuse(rule: Rule, *, expected: object, found: object) -> Refusal:
    """A refusal that shows `expected` and `found` as text, cut where it would be too long."""
    return Refusal(rule=rule, expected=str(expected)[:_LONGEST], found=str(found)[:_LONGEST])
