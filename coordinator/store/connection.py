"""A connection to the database: SQLAlchemy writes the SQL, aiosqlite runs it.

aiosqlite has a thread for each connection, and the way there and back costs more than most
statements do. So a statement goes there once, with all its rows, and what it gives comes back with
it; SQLAlchemy's own way through aiosqlite goes four times.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import aiosqlite
from sqlalchemy import Delete, Insert, Select, Update
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.compiler import SQLCompiler

Statement = Select[*tuple[Any, ...]] | Insert | Update | Delete
Values = Mapping[str, object]
_DIALECT = sqlite.dialect(paramstyle="named")


class Rows:
    """What a statement gave: tuples in the order of its columns."""

    def __init__(self, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        self._names = names
        self._rows = rows

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._rows)

    def first(self) -> tuple[Any, ...] | None:
        """The first row, if there is one."""
        return self._rows[0] if self._rows else None

    def scalar(self) -> Any:
        """The first column of the first row; None when there is no row."""
        return self._rows[0][0] if self._rows else None

    def scalars(self) -> list[Any]:
        """The first column of every row."""
        return [row[0] for row in self._rows]

    def mappings(self) -> list[Mapping[str, Any]]:
        """Every row, by the columns' names."""
        return [dict(zip(self._names, row, strict=True)) for row in self._rows]


@dataclass(frozen=True)
class _Compiled:
    """A statement as SQL. `fixed` are the values that it brings along."""

    sql: str
    fixed: Values
    names: tuple[str, ...]
    converted: tuple[tuple[int, Callable[[Any], Any]], ...]

    def rows(self, raw: Sequence[tuple[Any, ...]]) -> Rows:
        if not self.converted:
            return Rows(self.names, raw)
        changed = [list(row) for row in raw]
        for row in changed:
            for column, convert in self.converted:
                row[column] = convert(row[column])
        return Rows(self.names, [tuple(row) for row in changed])


_compiled: WeakKeyDictionary[Statement, _Compiled] = WeakKeyDictionary()


class Connection:
    """A connection for the time of one transaction.

    sqlite3.Error where the database can't do it.
    """

    def __init__(self, raw: aiosqlite.Connection) -> None:
        self._raw = raw

    async def execute(self, statement: Statement, values: Values | None = None) -> Rows:
        """Runs a statement, with the values of its `bindparam`s."""
        compiled = _sql(statement)
        given = compiled.fixed if values is None else {**compiled.fixed, **values}
        found = await self._raw.execute_fetchall(compiled.sql, given)
        return compiled.rows([tuple(row) for row in found])

    async def execute_each(self, statement: Statement, each: Sequence[Values]) -> None:
        """Runs a statement that gives nothing once for each of these values."""
        if not each:
            return
        compiled = _sql(statement)
        await self._raw.executemany(
            compiled.sql,
            self._while_it_lasts([{**compiled.fixed, **values} for values in each]),
        )

    def _while_it_lasts(self, each: Sequence[Values]) -> Iterator[Values]:
        # A full disk may end the transaction: what was on its way already would be stored alone.
        # sqlite3 asks for each row on the connection's thread, just before it is written.
        for values in each:
            if not self._raw.in_transaction:
                raise sqlite3.OperationalError("the transaction has ended before its end")
            yield values

    async def changed(self, statement: Statement, values: Values | None = None) -> int:
        """Runs a statement; how many rows it has changed."""
        compiled = _sql(statement)
        async with self._raw.execute(
            compiled.sql,
            {**compiled.fixed, **(values or {})},
        ) as cursor:
            return cursor.rowcount


def _sql(statement: Statement) -> _Compiled:
    """Compiled once for as long as the statement lives: those of a module for ever."""
    known = _compiled.get(statement)
    if known is None:
        known = _compiled[statement] = _compile(statement)
    return known


def _compile(statement: Statement) -> _Compiled:
    made = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    assert isinstance(made, SQLCompiler)
    missing = {name for name, bound in made.binds.items() if bound.required}
    fixed = {name: value for name, value in made.params.items() if name not in missing}
    columns = list(statement.exported_columns)
    converters = (column.type.result_processor(_DIALECT, None) for column in columns)
    return _Compiled(
        sql=str(made),
        fixed=fixed,
        names=tuple(column.key or "" for column in columns),
        converted=tuple((at, one) for at, one in enumerate(converters) if one is not None),
    )
