"""Texts with `*` for any text, and nothing else that means more than itself, asked of the database.

On SQLite, "in any case" is so for the letters A to Z alone, as it is with Django's own lookups there.
"""

from __future__ import annotations

import re
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import CharField, Lookup, TextField
from django.db.models.sql.compiler import SQLCompiler

Sql = tuple[str, tuple[str | int, ...]]


def _like(pattern: str) -> str:
    r"""Write a pattern for LIKE, whose `%` and `_` are escaped by a backslash."""
    return re.sub(r"([\\%_])", r"\\\1", pattern).replace("*", "%")


def _glob(pattern: str) -> str:
    """Write a pattern for SQLite's GLOB, which has the same `*`, and more that means something."""
    return re.sub(r"([\[?])", r"[\1]", pattern)


@CharField.register_lookup
@TextField.register_lookup
class Wildcards(Lookup):
    """`name__wildcards="web*"`; capital letters differ from small ones."""

    lookup_name = "wildcards"

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Sql:
        """Ask any database but SQLite."""
        return self._asked(compiler, connection, r"{} LIKE %s ESCAPE '\'", _like(self.rhs))

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_: Any) -> Sql:
        """Ask SQLite, whose LIKE knows no case."""
        return self._asked(compiler, connection, "{} GLOB %s", _glob(self.rhs))

    def _asked(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, sql: str, pattern: str) -> Sql:
        column, parameters = self.process_lhs(compiler, connection)
        return sql.format(column), (*parameters, pattern)


@CharField.register_lookup
@TextField.register_lookup
class WildcardsInAnyCase(Wildcards):
    """`name__iwildcards="web*"`."""

    lookup_name = "iwildcards"

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Sql:
        """Ask any database but SQLite."""
        return self._asked(compiler, connection, r"UPPER({}) LIKE UPPER(%s) ESCAPE '\'", _like(self.rhs))

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_: Any) -> Sql:
        """Ask SQLite, whose LIKE knows no case."""
        return self._asked(compiler, connection, r"{} LIKE %s ESCAPE '\'", _like(self.rhs))
