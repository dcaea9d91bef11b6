"""A unit's memory as it is written down: everybody may read it but for the sealed secrets."""

from hsm_backend.durable.sealed import DeviceKey
from hsm_backend.unit.memory import HeldImporterKey, Memory
from protocol.identifiers import Digest, Incarnation, Instant, StateVersion, UnitId
from protocol.schema import Struct
from protocol.sealing.importer import ImporterKey
from protocol.secrets import Secret
from protocol.unit_state import UnitState

_NEW, _CURRENT = "new master key register", "current master key register"


class ImporterKeyRow(Struct):
    """An importer key; `private` is sealed."""

    public: ImporterKey
    private: bytes


class MemoryRow(Struct):
    """`hsm_backend.unit.memory.Memory`; `new_key` and `current_key` are sealed."""

    incarnation: Incarnation
    version: StateVersion
    state: UnitState
    last_receipt: Digest
    clock: Instant
    new_key: bytes | None
    current_key: bytes | None
    importer_keys: tuple[ImporterKeyRow, ...]


def sealed(memory: Memory, unit: UnitId, device_key: DeviceKey) -> MemoryRow:
    """The row for what `unit` knows."""

    def seal(value: Secret | None, column: str) -> bytes | None:
        return None if value is None else device_key.seal(value, owner=unit, column=column)

    return MemoryRow(
        incarnation=memory.incarnation,
        version=memory.version,
        state=memory.state,
        last_receipt=memory.last_receipt,
        clock=memory.clock,
        new_key=seal(memory.new_key, _NEW),
        current_key=seal(memory.current_key, _CURRENT),
        importer_keys=tuple(
            ImporterKeyRow(
                public=held.public,
                private=device_key.seal(held.private, owner=unit, column=_column(held.public)),
            )
            for held in memory.importer_keys
        ),
    )


def opened(row: MemoryRow, unit: UnitId, device_key: DeviceKey) -> Memory:
    """What `unit` knows; damaged trouble when a secret can't be opened."""

    def open_(value: bytes | None, column: str) -> Secret | None:
        return None if value is None else device_key.open(value, owner=unit, column=column)

    return Memory(
        incarnation=row.incarnation,
        version=row.version,
        state=row.state,
        last_receipt=row.last_receipt,
        clock=row.clock,
        new_key=open_(row.new_key, _NEW),
        current_key=open_(row.current_key, _CURRENT),
        importer_keys=tuple(
            HeldImporterKey(
                public=held.public,
                private=device_key.open(held.private, owner=unit, column=_column(held.public)),
            )
            for held in row.importer_keys
        ),
    )


def _column(importer: ImporterKey) -> str:
    return f"importer key {importer.digest.hex()}"
