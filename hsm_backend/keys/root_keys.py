"""Root keys in use: opened for the time of a call, for as many data keys as it holds."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from hsm_backend.keys.data_keys import of_this_storage, unwrap_data, wrap_data
from hsm_backend.keys.draft import key_deleted, no_such_key
from hsm_backend.keys.inventory import EventKind
from hsm_backend.keys.master import MasterKey
from hsm_backend.keys.mirror import KeyRecord, Mirror, altered
from protocol.identifiers import VP
from protocol.keys.answers import Item, ItemRefused, Unwrapped, Wrapped
from protocol.keys.blobs import NONCE_BYTES, Blob, parse_blob
from protocol.keys.operations import KeyId, KeyVersion, ToUnwrap, ToWrap
from protocol.refusals import Refusal, Rule, refuse


class Wraps(Protocol):
    """Where wrapped root keys come from."""

    def wraps(
        self, keys: Iterable[KeyId], master: VP, /
    ) -> Mapping[tuple[KeyId, KeyVersion], bytes]:
        """The wraps of these keys under this master key; some may be missing."""
        ...


class RootKeys:
    """What can be done with root keys, by a unit that has caught up."""

    def __init__(self, mirror: Mirror, master: MasterKey, kept: Wraps) -> None:
        self._mirror, self._master, self._kept = mirror, master, kept

    def wrap(self, items: Sequence[ToWrap]) -> tuple[Item, ...]:
        """A blob for each data key."""
        roots = self._opened({one.key for one in items})
        return tuple(_item(self._wrapped(one, roots[one.key])) for one in items)

    def unwrap(self, items: Sequence[ToUnwrap]) -> tuple[Item, ...]:
        """The data key of each blob."""
        blobs = [self._readable(one.blob) for one in items]
        roots = self._opened({one.key for one in blobs if isinstance(one, Blob)})
        answers: list[Item] = []
        for item, blob in zip(items, blobs, strict=True):
            found = blob if isinstance(blob, Refusal) else roots[blob.key]
            if not isinstance(found, Refusal) and isinstance(blob, Blob):
                found = unwrap_data(found, blob, item.associated)
            answers.append(
                ItemRefused(refusal=found) if isinstance(found, Refusal) else Unwrapped(data=found)
            )
        return tuple(answers)

    def _wrapped(self, item: ToWrap, root: bytes | Refusal) -> Wrapped | Refusal:
        if isinstance(root, Refusal):
            return root
        record, known = self._mirror.record(item.key), self._mirror.inventory
        assert record is not None and known is not None, "a key was opened that isn't there"
        blob = wrap_data(
            root,
            known.storage,
            item.key,
            record.version,
            data=item.data,
            associated=item.associated,
            nonce=secrets.token_bytes(NONCE_BYTES),
        )
        return Wrapped(blob=blob)

    def _readable(self, data: bytes) -> Blob | Refusal:
        """The blob, if it is whole and of this instance, and its key has had that version."""
        blob = parse_blob(data)
        if isinstance(blob, Refusal):
            return blob
        known = self._mirror.inventory
        foreign = of_this_storage(blob, known.storage if known is not None else None)
        if foreign is not None:
            return foreign
        record = self._mirror.record(blob.key)
        if record is not None and record.version != blob.version:
            expected = f"version {record.version} of key {blob.key.hex()}"
            return refuse(Rule.NO_SUCH_KEY, expected=expected, found=blob.version)
        return blob

    def _opened(self, keys: Iterable[KeyId]) -> dict[KeyId, bytes | Refusal]:
        """Each key in the clear, or why it can't be used."""
        found: dict[KeyId, bytes | Refusal] = {}
        usable: dict[KeyId, KeyRecord] = {}
        for key in keys:
            record = self._mirror.record(key)
            if record is None or record.kind is EventKind.DESTROYED:
                found[key] = no_such_key(key)
            elif (refusal := key_deleted(record)) is not None:
                found[key] = refusal
            else:
                usable[key] = record
        wraps = self._kept.wraps(usable, self._master.vp) if usable else {}
        for key, record in usable.items():
            found[key] = self._open(record, wraps.get((key, record.version)))
        return found

    def _open(self, record: KeyRecord, wrap: bytes | None) -> bytes | Refusal:
        """STORAGE_ALTERED: every key of the log opens in its own place under the master key."""
        known = self._mirror.inventory
        assert known is not None, "a key's record stands in an inventory"
        root = None
        if wrap is not None:
            root = self._master.unwrap(wrap, known.storage, record.key, record.version)
        if root is None:
            expected = f"key {record.key.hex()}, as a crypto unit wrapped it"
            return altered(expected, "no wrap" if wrap is None else "a wrap of something else")
        return root


def _item(found: Wrapped | Refusal) -> Item:
    return ItemRefused(refusal=found) if isinstance(found, Refusal) else found
