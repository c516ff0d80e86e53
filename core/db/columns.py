"""Stored. What table definitions are made of, on both databases."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

Json = sa.JSON(none_as_null=True)
Time = sa.DateTime(timezone=True)


def id_column(name: str) -> sa.Column[int]:
    sequence = sa.Sequence(f"{name}_id_seq", metadata=metadata)
    return sa.Column("id", sa.BigInteger, sequence, server_default=sequence.next_value(), primary_key=True)


def reference(name: str, target: str, *, nullable: bool = False) -> list[sa.sql.schema.SchemaItem]:
    column: sa.Column[int] = sa.Column(name, sa.BigInteger, nullable=nullable)
    return [column, sa.ForeignKeyConstraint([name], [f"{target}.id"]).ddl_if(dialect="postgresql")]


def postgres_index(table: sa.Table, *columns: str) -> None:
    name = f"ix_{table.name}_{'_'.join(columns)}"
    sa.Index(name, *(table.c[c] for c in columns)).ddl_if(dialect="postgresql")
