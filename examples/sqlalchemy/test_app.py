"""Asserts what comes of each use case of app.py: python3 -m unittest -v

The local database (SHOP_URL) and the remote one are as local.sql and remote.sql make them.  SHOP_REMOTE_URL is the
remote database for a superuser, by which is seen what the remote server sees.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import os
import unittest
import uuid
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Boolean, Date, DateTime, Integer, Interval, LargeBinary, Numeric, Text, Time
from sqlalchemy import cast, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION, JSONB, UUID
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.types import TypeEngine

import app
from models import NewUser, Order, User
from queries import acquire, remote_exec, remote_select, remote_session

MAX_SIZE = 4  # of the pool, in local.sql
EET = dt.timezone(dt.timedelta(hours=2))

# unittest puts asyncio into debug mode, which tells of each slow step
logging.getLogger("asyncio").setLevel(logging.ERROR)


class Case(unittest.IsolatedAsyncioTestCase):
    """An engine for the application, and one that looks at the remote server by itself."""

    async def asyncSetUp(self) -> None:
        self.engine = app.make_engine(pool_size=20, max_overflow=20)
        self.sessions = app.make_sessions(self.engine)
        self.remote = app.make_engine(os.environ["SHOP_REMOTE_URL"])
        async with self.remote.begin() as remote:
            await remote.execute(text("UPDATE users SET name = 'user ' || id, credit = 100"))
        async with self.engine.begin() as local:
            await local.execute(text("TRUNCATE app.orders RESTART IDENTITY"))

    async def asyncTearDown(self) -> None:
        async with self.engine.connect() as local:
            leases = await local.scalar(text("SELECT count(*) FROM enhanced_pool.leases"))
        await self.engine.dispose()
        await self.remote.dispose()
        self.assertEqual(leases, 0, "a lease was left")

    async def at_remote(self, statement: str) -> Any:
        async with self.remote.connect() as remote:
            return await remote.scalar(text(statement))

    async def orders(self) -> int:
        async with self.sessions() as db:
            return await db.scalar(select(func.count()).select_from(Order))


class Reading(Case):
    async def test_core(self) -> None:
        async with self.sessions() as db:
            found = await app.richest_users(db, Decimal("99.99"), 2)
            self.assertEqual(found, [(1, "user 1", Decimal(100)), (2, "user 2", Decimal(100))])

    async def test_core_by_hand(self) -> None:
        async with self.sessions() as db:
            self.assertEqual(await app.count_users(db, "user 99%"), 11)

    async def test_entity_from_statement(self) -> None:
        async with self.sessions() as db:
            user = await app.user_by_email(db, "u7@example.com")
            assert user is not None
            self.assertIsInstance(user, User)
            self.assertEqual((user.id, user.name, user.credit), (7, "user 7", 100))
            self.assertEqual((user.tags, user.profile), (["group 1"], {"level": 7}))
            self.assertEqual(user.created.utcoffset(), dt.timedelta(0))
            # the identity map knows it
            self.assertIs(await app.user_by_email(db, "u7@example.com"), user)
            self.assertIsNone(await app.user_by_email(db, "nobody@example.com"))

    async def test_entities_from_statement(self) -> None:
        async with self.sessions() as db:
            found = await app.users_with_tags(db, ["group 0", "group 1"])
            self.assertEqual(len(found), 667)
            self.assertEqual([user.id for user in found[:3]], [1, 3, 4])

    async def test_entities_over_a_view(self) -> None:
        async with self.sessions() as db:
            found = await app.newest_users(db, 2)
            self.assertEqual([type(user) for user in found], [NewUser, NewUser])
            self.assertEqual([(user.id, user.name) for user in found], [(1000, "user 1000"), (999, "user 999")])
            one = await db.scalar(select(NewUser).where(NewUser.profile["level"].as_integer() == 5, NewUser.id > 990))
            self.assertEqual(one.id, 995)

    async def test_join_with_local_rows(self) -> None:
        async with self.sessions.begin() as db:
            self.assertEqual(await app.orders_with_names(db), [])
            db.add_all([Order(user_id=9, item="cup", price=3), Order(user_id=4, item="pot", price=8)])
        async with self.sessions() as db:
            self.assertEqual(sorted(await app.orders_with_names(db)), [(1, "user 9", "cup"), (2, "user 4", "pot")])

    async def test_cursor(self) -> None:
        async with self.sessions.begin() as db:
            self.assertEqual([user.id async for user in app.every_user(db, batch=300)], list(range(1, 1001)))


class Parameters(Case):
    """Every value comes back as it went: $1 has the type that the remote server must see, and the result is equal."""

    VALUES: list[tuple[Any, str, TypeEngine]] = [
        (True, "boolean", Boolean()),
        (False, "boolean", Boolean()),
        (7, "bigint", BigInteger()),
        (2**62, "bigint", BigInteger()),
        (-1.5e300, "double precision", DOUBLE_PRECISION()),
        (Decimal("12345678901234567890.12345678901234567890"), "numeric", Numeric()),
        (b"\x00\xff'\\", "bytea", LargeBinary()),
        (dt.date(1999, 12, 31), "date", Date()),
        (dt.time(23, 59, 59, 999999), "time without time zone", Time()),
        (dt.datetime(2026, 2, 28, 12, 30, 0, 1), "timestamp without time zone", DateTime()),
        (dt.datetime(2026, 2, 28, 12, 30, tzinfo=EET), "timestamp with time zone", DateTime(timezone=True)),
        (dt.timedelta(days=-3, hours=5, microseconds=7), "interval", Interval()),
        (uuid.UUID("12345678-1234-5678-1234-567812345678"), "uuid", UUID(as_uuid=True)),
        ([1, None, 3], "bigint[]", ARRAY(BigInteger)),
        (["a", 'b"{},', ""], "text[]", ARRAY(Text)),
        ([dt.date(2026, 1, 1)], "date[]", ARRAY(Date)),
        ({"a": [1, 2.5, None], "ü": {"b": "c"}}, "jsonb", JSONB()),
    ]

    async def value(self, statement: str, *params: Any, type_: TypeEngine) -> Any:
        async with self.engine.connect() as local:
            return await local.scalar(remote_select("analytics", statement, *params, columns={"value": type_}))

    async def test_every_type(self) -> None:
        for value, name, type_ in self.VALUES:
            with self.subTest(value=value):
                self.assertEqual(await self.value("SELECT pg_typeof($1)::text", value, type_=Text()), name)
                came = await self.value("SELECT $1", value, type_=type_)
                self.assertEqual(came, value)
                self.assertIsInstance(came, type(value))

    async def test_strings_take_the_type_that_the_remote_wants(self) -> None:
        for value in ["", "user 7", "$1 %s %% :name ? '\\\" ü", "NULL", "x" * 100_000]:
            with self.subTest(value=value[:20]):
                self.assertEqual(await self.value("SELECT $1::text", value, type_=Text()), value)
        self.assertEqual(await self.value("SELECT $1::int + 1", "6", type_=Integer()), 7)
        since = "SELECT name FROM users WHERE created > $1 AND id = $2"
        self.assertEqual(await self.value(since, "2020-01-01", 5, type_=Text()), "user 5")

    async def test_none(self) -> None:
        for wanted in ["int", "text", "timestamptz", "jsonb", "uuid"]:
            with self.subTest(wanted=wanted):
                self.assertIs(await self.value(f"SELECT $1::{wanted} IS NULL", None, type_=Boolean()), True)
        self.assertIsNone(await self.value("SELECT coalesce($1::int, $2)", None, None, type_=Integer()))

    async def test_expressions_stay_what_they_are(self) -> None:
        self.assertEqual(await self.value("SELECT pg_typeof($1)::text", cast(7, Integer), type_=Text()), "integer")
        self.assertEqual(await self.value("SELECT $1 ->> 1", cast([1, "b"], JSONB), type_=Text()), "b")
        self.assertEqual(await self.value("SELECT cardinality($1)", cast([], ARRAY(Integer)), type_=Integer()), 0)
        for value in ([], [1, "a"], [[1]], object()):
            with self.subTest(value=value), self.assertRaises(TypeError):
                await self.value("SELECT $1", value, type_=Text())

    async def test_what_goes_wrong_without_casts(self) -> None:
        """The traps that README.md names."""
        by_hand = "SELECT * FROM enhanced_pool.execute('analytics', 'SELECT $1::int', {}) AS t(n int)"
        async with self.engine.connect() as local:
            # asyncpg asks the server what the parameter is: text, for the function takes anything
            with self.assertRaisesRegex(DBAPIError, "expected str, got int"):
                await local.execute(text(by_hand.format(":n")), {"n": 7})
            await local.rollback()
            self.assertEqual(await local.scalar(text(by_hand.format("CAST(:n AS int)")), {"n": 7}), 7)
            self.assertEqual(await local.scalar(text(by_hand.format("VARIADIC CAST(:n AS text[])")), {"n": ["7"]}), 7)
            # without the column definition list
            with self.assertRaises(ProgrammingError) as caught:
                await local.execute(text("SELECT * FROM enhanced_pool.execute('analytics', 'SELECT 1')"))
            self.assertEqual(caught.exception.orig.sqlstate, "42601")


class Writing(Case):
    async def credit(self, user_id: int) -> Decimal:
        return await self.at_remote(f"SELECT credit FROM users WHERE id = {user_id}")

    async def test_by_itself(self) -> None:
        async with self.sessions() as db:
            self.assertTrue(await app.rename_user(db, 3, "Ada"))
            self.assertFalse(await app.rename_user(db, 0, "nobody"))
            await db.rollback()
        self.assertEqual(await self.at_remote("SELECT name FROM users WHERE id = 3"), "Ada")

    async def test_commit(self) -> None:
        async with self.sessions.begin() as db:
            order = await app.place_order(db, 7, "teapot", Decimal("19.90"))
            self.assertIsNotNone(order.id)
            # two statements, one remote transaction
            await app.place_order(db, 7, "cup", Decimal("5.10"))
            self.assertEqual((await app.user_by_email(db, "u7@example.com")).credit, 100, "seen before the commit")
        self.assertEqual(await self.credit(7), 75)
        self.assertEqual(await self.orders(), 2)

    async def test_rollback(self) -> None:
        async with self.sessions() as db:
            await app.place_order(db, 7, "teapot", Decimal(20))
            await db.rollback()
        self.assertEqual(await self.credit(7), 100)
        self.assertEqual(await self.orders(), 0)

    async def test_exception_of_the_application(self) -> None:
        with self.assertRaises(LookupError):
            async with self.sessions.begin() as db:
                await app.place_order(db, 7, "teapot", Decimal(20))
                await app.place_order(db, 0, "teapot", Decimal(20))
        self.assertEqual(await self.credit(7), 100)
        self.assertEqual(await self.orders(), 0)

    async def test_refused_by_the_remote(self) -> None:
        with self.assertRaises(IntegrityError) as caught:
            async with self.sessions.begin() as db:
                await app.place_order(db, 7, "teapot", Decimal(20))
                await app.place_order(db, 7, "diamond", Decimal(5000))
        self.assertEqual(caught.exception.orig.sqlstate, "23514")
        # what asyncpg itself raised has the fields of the remote's error
        self.assertEqual(caught.exception.orig.__cause__.constraint_name, "users_credit_left")
        self.assertEqual(await self.credit(7), 100)
        self.assertEqual(await self.orders(), 0)

    async def test_refused_by_the_local_server(self) -> None:
        with self.assertRaises(IntegrityError):
            async with self.sessions.begin() as db:
                await app.place_order(db, 7, "teapot", Decimal(20))
                await app.place_order(db, 7, "nothing", Decimal(0))
        self.assertEqual(await self.credit(7), 100)
        self.assertEqual(await self.orders(), 0)

    async def test_savepoint(self) -> None:
        async with self.sessions.begin() as db:
            await app.place_order(db, 7, "teapot", Decimal(20))
            with self.assertRaises(IntegrityError):
                async with db.begin_nested():
                    await app.place_order(db, 8, "cup", Decimal(5))
                    await app.place_order(db, 8, "diamond", Decimal(5000))
        self.assertEqual((await self.credit(7), await self.credit(8)), (80, 100))
        self.assertEqual(await self.orders(), 1)

    async def test_same_session_in_a_transaction(self) -> None:
        async with self.sessions() as db:
            session = await db.scalar(remote_session("analytics"))
            self.assertEqual(await db.scalar(remote_session("analytics")), session)
            await db.commit()
            self.assertNotEqual(await db.scalar(remote_session("analytics")), session)


class Sharing(Case):
    async def test_many_sessions_few_connections(self) -> None:
        """40 AsyncSessions at once, each with a local connection: the remote server sees MAX_SIZE at most."""
        seen, done = [], asyncio.Event()

        async def look() -> None:
            while not done.is_set():
                # a health check has a connection of its own for a moment
                seen.append(await self.at_remote("SELECT count(*) FROM pg_stat_activity WHERE usename = 'report'"))

        async def work(_: int) -> set[int]:
            async with self.sessions() as db:
                pids = set()
                for _ in range(5):
                    statement = remote_select(
                        "analytics", "SELECT pg_backend_pid() FROM pg_sleep(0.01)", columns={"pid": Integer()}
                    )
                    pids.add(await db.scalar(statement))
                return pids

        looking = asyncio.create_task(look())
        try:
            pids = set().union(*await asyncio.gather(*map(work, range(40))))
        finally:
            done.set()
            await looking
        self.assertGreater(len(pids), 1)
        self.assertLessEqual(len(pids), MAX_SIZE)
        self.assertLessEqual(max(seen), MAX_SIZE + 1)
        async with self.sessions() as db:
            metrics = await app.metrics(db)
            self.assertLessEqual(metrics["size"], MAX_SIZE)
            self.assertGreater(metrics["wait_count"], 0)

    async def test_look_ups_at_once(self) -> None:
        self.assertEqual(await app.names_of(self.sessions, range(1, 41)), {i: f"user {i}" for i in range(1, 41)})

    async def test_metrics(self) -> None:
        async with self.sessions() as db:
            before = await app.metrics(db)
            await app.richest_users(db, Decimal(0), 10)
            with self.assertRaises(ProgrammingError) as caught:
                await db.execute(remote_exec("analytics", "SELECT nonsense"))
            await db.rollback()
            after = await app.metrics(db)
        self.assertEqual(caught.exception.orig.sqlstate, "42703")
        self.assertGreaterEqual(after["rows_returned"] - before["rows_returned"], 10)
        self.assertGreaterEqual(after["query_errors"] - before["query_errors"], 1)
        self.assertGreater(after["avg_query_time"], 0)

    async def test_leases_end_with_the_transaction(self) -> None:
        """Nothing of a lease stays behind on a connection that goes back to SQLAlchemy's pool."""
        held = text("SELECT count(*) FROM enhanced_pool.leases")
        async with self.sessions() as db:
            lease = await db.scalar(acquire("analytics"))
            await db.execute(remote_exec(lease, "BEGIN"))
            await db.execute(remote_exec(lease, "UPDATE users SET name = 'x' WHERE id = $1", 1))
            self.assertEqual(await db.scalar(held), 1)
        async with self.sessions() as db:
            self.assertEqual(await db.scalar(held), 0)
        self.assertEqual(await self.at_remote("SELECT name FROM users WHERE id = 1"), "user 1")

    async def test_cancelled_task(self) -> None:
        """A task that is cancelled, here by its deadline, does not keep its remote connection."""
        with self.assertRaises(asyncio.TimeoutError):
            async with self.sessions() as db:
                await asyncio.wait_for(db.execute(remote_exec("analytics", "SELECT pg_sleep(60)")), 0.2)
        busy = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(60)'"
        leases = text("SELECT count(*) FROM enhanced_pool.leases")
        async with asyncio.timeout(60), self.engine.connect() as local:
            while await self.at_remote(busy) or await local.scalar(leases):
                await asyncio.sleep(0.05)


class Program(Case):
    async def test_main(self) -> None:
        await app.main()


if __name__ == "__main__":
    unittest.main()
