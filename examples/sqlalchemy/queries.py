"""Calls of enhanced_pool as SQLAlchemy expressions.

Nothing here talks to a server; what these functions return goes to ``AsyncSession.execute`` or ``scalar``.  The
remote statement is a parameter of the local one, so neither SQLAlchemy nor asyncpg ever looks into it: its ``$1``,
``:``, ``%`` and ``?`` are for the remote server alone, and the local statement keeps its text: it is prepared once.
"""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any, Mapping, Optional, Union

from sqlalchemy import BigInteger, Boolean, Date, DateTime, Interval, LargeBinary, Numeric, Text, Time
from sqlalchemy import cast, column, func, select, table
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION, JSONB, UUID
from sqlalchemy.sql import ClauseElement, Select
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
            raise TypeError("a list needs items of one type: use cast(value, ARRAY(...)) or cast(value, JSONB)")
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


def remote_select(target: Target, statement: str, *params: Any, columns: Mapping[str, TypeEngine]) -> Select:
    """Rows of a remote statement: ``SELECT t.a, t.b FROM enhanced_pool.execute(...) AS t(a int, b text)``.

    The column list, which PostgreSQL wants for a function that returns records, comes from render_derived().  The
    columns are matched by position.  To join them with local tables, make the result a subquery().
    """
    call = func.enhanced_pool.execute(parameter(target), parameter(statement), *map(parameter, params))
    listed = [column(name, type_) for name, type_ in columns.items()]
    return select(call.table_valued(*listed).render_derived(name="t", with_types=True))


def remote_exec(target: Target, statement: str, *params: Any) -> Select:
    """The number of rows that a remote statement affects."""
    arguments = [parameter(target), parameter(statement), *map(parameter, params)]
    return select(func.enhanced_pool.exec(*arguments, type_=BigInteger()))


def remote_session(pool: str) -> Select:
    """The number of a remote session, whose transaction commits with the local one and is rolled back with it.

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
    columns = [column(name, type_) for name, type_ in _METRICS.items()]
    view = table("pool_metrics", column("pool", Text), column("role", Text), *columns, schema="enhanced_pool")
    return select(*[view.c[name] for name in _METRICS]).where(view.c.pool == pool, view.c.role == role)


# ------------------------------------------------------------------ users, for select(User).from_statement(...)

_USER_COLUMNS: Mapping[str, TypeEngine] = {c.name: c.type for c in User.__table__.columns}
_SELECT_USERS = f"SELECT {', '.join(_USER_COLUMNS)} FROM users"


def users(rest: str, *params: Any, target: Target = "analytics") -> Select:
    """Remote users.  ``rest`` is what follows FROM: SQL of the program's author, with $1, $2 for ``params``."""
    return remote_select(target, f"{_SELECT_USERS} {rest}", *params, columns=_USER_COLUMNS)


def declare_users(session: int, cursor: str, rest: str, *params: Any) -> Select:
    """Opens a cursor of the remote server over what ``users`` would return at once."""
    return remote_exec(session, f"DECLARE {cursor} NO SCROLL CURSOR FOR {_SELECT_USERS} {rest}", *params)


def fetch_users(session: int, cursor: str, rows: int) -> Select:
    """The next rows of such a cursor."""
    return remote_select(session, f"FETCH {int(rows)} FROM {cursor}", columns=_USER_COLUMNS)
