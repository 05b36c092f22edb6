"""A shop whose orders are in the local database and whose users are on a remote server.

``python3 app.py`` runs every use case once; ``test_app.py`` asserts what comes of each.  The database is that of
SHOP_URL, by default ``postgresql+asyncpg://app:app@localhost/shop``.
"""

from __future__ import annotations

import asyncio
import os
from decimal import Decimal
from typing import Any, AsyncIterator, Iterable, Optional, Sequence

from sqlalchemy import Integer, Numeric, Text, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import sessionmaker

from models import NewUser, Order, User
from queries import declare_users, fetch_users, pool_metrics, remote_exec, remote_select, remote_session, users

POOL = "analytics"
DEFAULT_URL = "postgresql+asyncpg://app:app@localhost/shop"


def make_engine(url: Optional[str] = None, **options: Any) -> AsyncEngine:
    """The engine of the local database.  Its pool is of local connections; SQLAlchemy knows nothing of remote ones.

    SQLAlchemy drops the connection of a task that is cancelled.  With client_connection_check_interval the local server
    notices that while it waits for the remote one, and cancels the remote statement.
    """
    options.setdefault("connect_args", {"server_settings": {"client_connection_check_interval": "500ms"}})
    return create_async_engine(url or os.environ.get("SHOP_URL", DEFAULT_URL), **options)


def make_sessions(engine: AsyncEngine) -> sessionmaker:
    """AsyncSessions whose objects stay usable after commit: an expired one would be loaded behind an attribute."""
    return sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)


# ------------------------------------------------------------------ reading


async def richest_users(db: AsyncSession, at_least: Decimal, limit: int) -> list[tuple[int, str, Decimal]]:
    """Rows of a remote statement, without entities."""
    rows = await db.execute(
        remote_select(
            POOL,
            "SELECT id, name, credit FROM users WHERE credit >= $1 ORDER BY credit DESC, id LIMIT $2",
            at_least,
            limit,
            columns={"id": Integer(), "name": Text(), "credit": Numeric(12, 2)},
        )
    )
    return [tuple(row) for row in rows]


async def count_users(db: AsyncSession, pattern: str) -> int:
    """The same with SQL by hand.

    CASTs say what the parameters are, for asyncpg would take each of another type for a str.  Text within quotes is
    SQLAlchemy's business, too (``:name`` would be a parameter there): so the remote statement is one of them.
    """
    statement = text(
        """SELECT t.n
           FROM enhanced_pool.execute('analytics', CAST(:remote AS text), CAST(:pattern AS text)) AS t(n bigint)"""
    )
    remote = "SELECT count(*) FROM users WHERE name LIKE $1"
    return await db.scalar(statement, {"remote": remote, "pattern": pattern})


async def user_by_email(db: AsyncSession, email: str) -> Optional[User]:
    """An entity, from a remote statement with a parameter."""
    return await db.scalar(select(User).from_statement(users("WHERE email = $1", email)))


async def users_with_tags(db: AsyncSession, tags: Sequence[str]) -> list[User]:
    return list(await db.scalars(select(User).from_statement(users("WHERE tags && $1 ORDER BY id", list(tags)))))


async def newest_users(db: AsyncSession, limit: int) -> list[NewUser]:
    """Entities mapped over a view: any SELECT works, and is run by the local server on the rows of the view."""
    return list(await db.scalars(select(NewUser).order_by(NewUser.id.desc()).limit(limit)))


async def orders_with_names(db: AsyncSession) -> list[tuple[int, str, str]]:
    """Local orders joined with remote users: the remote server is asked for those that have orders."""
    ids = list(await db.scalars(select(Order.user_id).distinct()))
    if not ids:
        return []
    names = remote_select(
        POOL, "SELECT id, name FROM users WHERE id = ANY ($1)", ids, columns={"id": Integer(), "name": Text()}
    ).subquery("names")
    rows = await db.execute(
        select(Order.id, names.c.name, Order.item).join(names, names.c.id == Order.user_id).order_by(Order.id)
    )
    return [tuple(row) for row in rows]


async def every_user(db: AsyncSession, batch: int = 500) -> AsyncIterator[User]:
    """All users, ``batch`` of them in memory: a cursor of the remote server, in a remote session."""
    session = await db.scalar(remote_session(POOL))
    await db.execute(declare_users(session, "every_user", "ORDER BY id"))
    fetch = select(User).from_statement(fetch_users(session, "every_user", batch))
    while found := list(await db.scalars(fetch)):
        for user in found:
            yield user
        db.expunge_all()
    await db.execute(remote_exec(session, "CLOSE every_user"))


async def names_of(sessions: sessionmaker, ids: Iterable[int]) -> dict[int, str]:
    """Many look-ups at once, each in an AsyncSession of its own.  The pool's few remote connections serve them all."""

    async def name_of(user_id: int) -> tuple[int, str]:
        async with sessions() as db:
            user = await db.scalar(select(User).from_statement(users("WHERE id = $1", user_id)))
            return user.id, user.name

    return dict(await asyncio.gather(*map(name_of, ids)))


# ------------------------------------------------------------------ writing


async def rename_user(db: AsyncSession, user_id: int, name: str) -> bool:
    """A remote statement by itself: it has committed when this returns, whatever becomes of the local transaction."""
    return await db.scalar(remote_exec(POOL, "UPDATE users SET name = $1 WHERE id = $2", name, user_id)) == 1


async def place_order(db: AsyncSession, user_id: int, item: str, price: Decimal) -> Order:
    """An order here, paid from the user's credit there.  Both happen with the commit of ``db``, or neither does.

    Raises LookupError for an unknown user, and IntegrityError for what either server's constraints refuse.
    """
    order = Order(user_id=user_id, item=item, price=price)
    db.add(order)
    await db.flush()
    session = await db.scalar(remote_session(POOL))
    pay = remote_exec(session, "UPDATE users SET credit = credit - $1 WHERE id = $2", price, user_id)
    if await db.scalar(pay) != 1:
        raise LookupError(f"there is no user {user_id}")
    return order


# ------------------------------------------------------------------ looking


async def metrics(db: AsyncSession) -> dict[str, Any]:
    """What the pool has done so far, and how long it took (times in milliseconds)."""
    return dict((await db.execute(pool_metrics(POOL, "app"))).mappings().one())


async def main() -> None:
    engine = make_engine()
    sessions = make_sessions(engine)
    async with sessions() as db:
        print("richest:", await richest_users(db, Decimal(50), 3))
        print("named user 10...:", await count_users(db, "user 10%"))
        print("by e-mail:", (await user_by_email(db, "u7@example.com")).name)
        print("newest:", [user.name for user in await newest_users(db, 3)])
    async with sessions.begin() as db:
        order = await place_order(db, 7, "teapot", Decimal("19.90"))
        print("ordered:", order.id, order.item)
    async with sessions.begin() as db:
        print("all users:", len([user.id async for user in every_user(db)]))
        print("orders:", await orders_with_names(db))
    print("look-ups at once:", len(await names_of(sessions, range(1, 41))))
    async with sessions() as db:
        print("pool:", await metrics(db))
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(main())
