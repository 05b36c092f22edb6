"""What the parts of the soak test share: the run itself, its failures and its counts."""

import asyncio
import collections
import os
import random
import re
import time

import asyncpg

# A pool: the server its remote is, and how many connections it may have at most, that of
# a health check included.  'narrow' is altered between 4 and 6.
POOLS = {
    'fast': ('one', 12 + 4 + 1),
    'narrow': ('one', 6 + 1),
    'follow': ('one', 8 + 1),
    'tls': ('two', 10 + 1),
    'wide': ('two', 20 + 1),
}
# A pool that is dropped and made again.  While connections of one that was dropped are
# still leased, there are those of the next one.
BRIEF = 'brief'
BRIEF_LIMIT = 3 * (4 + 1)
SESSIONS = 100
LONG = 10            # so many of them live for the whole run, but for a crash of the local server
HANG = 90            # s: nothing that is waited for may take longer


class Refused(Exception):
    """A statement failed, and the session lives."""

    def __init__(self, sqlstate, text, query):
        super().__init__(f'{sqlstate}: {text}')
        self.sqlstate, self.text, self.query = sqlstate, text, query


class Lost(Exception):
    """The connection to the local server is gone."""


class Run:
    def __init__(self, directory, minutes, seed, ports):
        self.directory, self.minutes, self.seed, self.ports = directory, minutes, seed, ports
        self.started = time.monotonic()
        self.failures = []
        self.shapes = collections.Counter()      # failures by what is the same in them
        self.outcomes = collections.Counter()    # (kind, outcome)
        self.events = collections.Counter()      # chaos by kind
        self.checks = collections.Counter()      # invariants by kind
        self.crashes = 0                         # of the local server, made by chaos
        self.killed_at = self.crashed_at = 0.0   # when the last of them began, and when it was over
        self.killed = set()                      # process ids that chaos killed
        self.terminated = set()                  # and those of sessions that it ended by pg_terminate_backend
        self.longest = (0, '')                   # seconds that a statement took at most, and whose
        self.calm = False                        # nothing that chaos did is left to excuse an error
        self.go = asyncio.Event()                # sessions work
        self.over = False

    def random(self, name):
        return random.Random(f'{self.seed}/{name}')

    def log(self, text):
        print(f'{time.strftime("%H:%M:%S")} {time.monotonic() - self.started:8.2f}  {text}', flush=True)

    def fail(self, what, *evidence):
        """An invariant did not hold.  Of failures that differ in numbers alone the first ones are shown."""
        shape = re.sub(r'\d+', 'N', what)[:200]
        self.failures.append(what)
        self.shapes[shape] += 1
        if self.shapes[shape] <= 5:
            self.log(f'FAILED: {what}')
            for line in evidence:
                print(f'      {line}', flush=True)

    async def try_admin(self, sql, *args):
        """For sessions: have something done by another one, if that can be reached."""
        try:
            await self.canceller.fetch(sql, *args)
        except Lost:
            pass

    async def connect(self, server, user='postgres', name='soak'):
        return await asyncpg.connect(host=os.path.join(self.directory, 's'), port=self.ports[server], user=user,
                                     database='postgres', timeout=20, server_settings={'application_name': name, 'jit': 'off'})


async def end(conn):
    """Let go of a connection, in whatever state it is."""
    try:
        await conn.close(timeout=2)
    except Exception:
        conn.terminate()


class Admin:
    """A superuser's connection that comes back after crashes; one statement at a time."""

    def __init__(self, run, server, name):
        self.run, self.server, self.name = run, server, name
        self.conn = None
        self.lock = asyncio.Lock()

    async def fetch(self, sql, *args, timeout=30):
        async with self.lock:
            if self.conn is None or self.conn.is_closed():
                try:
                    self.conn = await self.run.connect(self.server, name=self.name)
                except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncio.TimeoutError) as error:
                    raise Lost(str(error)) from error
            try:
                return await self.conn.fetch(sql, *args, timeout=timeout)
            except asyncpg.PostgresError as error:
                if self.conn.is_closed() or error.severity != 'ERROR':
                    raise Lost(str(error)) from error
                raise
            except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError, asyncio.TimeoutError) as error:
                self.conn.terminate()
                raise Lost(str(error)) from error

    async def value(self, sql, *args, timeout=30):
        return (await self.fetch(sql, *args, timeout=timeout))[0][0]

    async def insist(self, sql, *args):
        """The same, again until it is answered."""
        until = time.monotonic() + HANG
        while True:
            try:
                return await self.fetch(sql, *args)
            except Lost:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(0.2)
