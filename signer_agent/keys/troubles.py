"""What is wrong with a key file, in the words and exit codes that people get."""

from protocol.files.keyfile import (
    Damaged,
    KeyFileError,
    OtherKey,
    OutOfMemory,
    Unsupported,
    WrongPassword,
    WrongPractice,
)
from quorate.exits import Exit, Trouble


def of_unusable(why: KeyFileError | Trouble, file: str, *, untouched: str, again: str) -> Trouble:
    """The trouble to raise for a file that was wanted and can't be used."""
    if isinstance(why, Trouble):
        return why
    return as_trouble(why, file, untouched=untouched, again=again)


def as_trouble(
    error: KeyFileError, file: str, *, untouched: str, again: str, tries: int = 1
) -> Trouble:
    """The trouble to raise for `error`.

    `file` is the file's name, `untouched` what didn't happen ("nothing was signed"), `again` what
    to do once it is mended ("approve again"), `tries` how many passwords were wrong.
    """
    match error:
        case WrongPassword():
            counted = f"{tries} tries. " if tries > 1 else ""
            return Trouble(
                Exit.WRONG_PASSWORD,
                f"{counted}{file} is undamaged; {untouched}.",
                next=f"caps lock? keyboard layout? Then {again}",
            )
        case Damaged():
            code = Exit.DAMAGED
            what = f"{file} isn't as it was written; no password can open it. It was left as it is."
            next_step = f"put your copy of {file} back, then {again}"
            rule = None
        case Unsupported():
            code = Exit.REFUSED
            what = f"{file} isn't a key file that this program can use here; {untouched}"
            next_step = "was it made by a newer program, or is it another kind of file?"
            rule = None
        case OtherKey():
            code = Exit.REFUSED
            what = f"{file} holds another key than before; {untouched}"
            next_step = f"put your copy of the right file back, then {again}"
            rule = None
        case WrongPractice():
            code = Exit.REFUSED
            what = f"{file} is {error.found}; practice and real work share no key; {untouched}"
            next_step = f"make {error.expected} for it"
            rule = "PRACTICE_APART"
        case OutOfMemory():
            code = Exit.STORAGE
            what = f"too little memory here to open {file}, which is undamaged; {untouched}"
            next_step = f"end other programs, then {again}"
            rule = None
        case _:
            raise error
    return Trouble(
        code, what, expected=error.expected, found=error.found, next=next_step, rule=rule
    )
