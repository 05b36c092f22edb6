"""Calls of enhanced_pool as SQLAlchemy expressions.

Nothing here talks to a server; what these functions return goes to ``AsyncSession.execute`` or ``scalar``.  The remote
statement is a parameter of the local one, so neither SQLAlchemy nor asyncpg ever looks into it: its ``$1``, ``:``, ``%``
and ``?`` are for the remote server alone, and the local statement keeps its text, so that it is prepared once.
"""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any, Mapping, Optional, Union

from sqlalchemy import BigInteger, Boolean, Date, DateTime, Interval, LargeBinary, Numeric, Text, Time, cast, column, func, select, table
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION, JSONB, UUID
from sqlalchemy.sql import ClauseElement, Select
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import TypeEngine

from models import User

Target = Union[str, int]
"""A pool's name, or the number of a lease or session."""

_TYPES: Mapping[type, TypeEngine] = {
    bool: Boolean(),
    int: BigInteger(),
    float: DOUBLE_PRECISION(),
    Decimal: Numeric(),
    str: Text(),
    bytes: LargeBinary(),
    dt.date: Date(),
    dt.time: Time(),
    dt.timedelta: Interval(),
    uuid.UUID: UUID(as_uuid=True),
    dict: JSONB(),
}


def sql_type(value: Any) -> TypeEngine:
    """The SQL type that a Python value has as a parameter; TypeError if that cannot be told.

    None is a text, as str is: enhanced_pool sends those without a type, so that the remote server infers it.
    """
    if value is None:
        return Text()
    if isinstance(value, dt.datetime):
        return DateTime(timezone=value.tzinfo is not None)
    if isinstance(value, list):
        types = {type(item): item for item in value if item is not None}
        if len(types) != 1 or list in types:
            raise TypeError("a list needs items of one type: say which with cast(value, ARRAY(...)) or cast(value, JSONB)")
        return ARRAY(sql_type(next(iter(types.values()))))
    try:
        return _TYPES[type(value)]
    except KeyError:
        raise TypeError(f"no SQL type is known for {type(value).__name__}: use cast(value, ...)") from None


def parameter(value: Any) -> ClauseElement:
    """A value as a parameter of a remote statement: with a CAST, which tells both servers and asyncpg its type.

    An expression stays what it is: ``cast(7, Integer)`` where a bigint is too wide.
    """
    return value if isinstance(value, ClauseElement) else cast(value, sql_type(value))


def _call(name: str, target: Target, statement: str, *params: Any, type_: Optional[TypeEngine] = None):
    function = getattr(func.enhanced_pool, name)
    arguments = [parameter(target), parameter(statement), *map(parameter, params)]
    return function(*arguments) if type_ is None else function(*arguments, type_=type_)


def remote_select(target: Target, statement: str, *params: Any, columns: Mapping[str, TypeEngine]) -> Select:
    """Rows of a remote statement: ``SELECT t.a, t.b FROM enhanced_pool.execute(...) AS t(a int, b text)``.

    The column list, which PostgreSQL wants for a function that returns records, comes from render_derived().  The columns
    are matched by position, and are there for more: ``statement.subquery()`` can be joined with local tables.
    """
    listed = [column(name, type_) for name, type_ in columns.items()]
    return select(_call("execute", target, statement, *params).table_valued(*listed).render_derived(name="t", with_types=True))


def remote_exec(target: Target, statement: str, *params: Any) -> Select:
    """The number of rows that a remote statement affects."""
    return select(_call("exec", target, statement, *params, type_=BigInteger()))


def remote_session(pool: str) -> Select:
    """The number of a remote session, whose transaction follows the local one: commits with it and is rolled back with it.

    Called again in the same transaction it is the same session.
    """
    return select(func.enhanced_pool.session(parameter(pool), type_=BigInteger()))


def acquire(pool: str) -> Select:
    """A lease that ends with the local transaction, and whose remote transactions are the caller's business."""
    return select(func.enhanced_pool.acquire(parameter(pool), type_=BigInteger()))


_METRICS: Mapping[str, TypeEngine] = {
    "size": BigInteger(),
    "total_created": BigInteger(),
    "acquire_count": BigInteger(),
    "wait_count": BigInteger(),
    "avg_wait_time": DOUBLE_PRECISION(),
    "query_count": BigInteger(),
    "query_errors": BigInteger(),
    "avg_query_time": DOUBLE_PRECISION(),
    "rows_returned": BigInteger(),
}


def pool_metrics(pool: str, role: str) -> Select:
    """Some columns of the view pool_metrics, for one pool: what it has done, times in milliseconds."""
    view = table("pool_metrics", column("pool", Text), column("role", Text), *[column(*c) for c in _METRICS.items()], schema="enhanced_pool")
    return select(*[view.c[name] for name in _METRICS]).where(view.c.pool == pool, view.c.role == role)


def users(condition: str, *params: Any, order: str = "id") -> Select:
    """Remote users, for ``select(User).from_statement(...)``.  ``condition`` and ``order`` are SQL of the program's author."""
    columns = {c.name: c.type for c in User.__table__.columns}
    statement = f"SELECT {', '.join(columns)} FROM users WHERE {condition} ORDER BY {order}"
    return remote_select("analytics", statement, *params, columns=columns)
