"""One session with the local server: it connects, works until it is lost, and connects again."""

import asyncio
import time
import traceback

import asyncpg

from common import HANG, POOLS, Lost, Refused, end

# What chaos may bring about, whatever a session does (doc/reference.md, Errors).
DOCUMENTED = {'08001', '08006', '08007', '57P01', '57P03', '53300'}      # and 55000, see judge


class Session:
    def __init__(self, run, number, kinds, long):
        self.run, self.number, self.long = run, number, long
        self.rng = run.random(f'session {number}')
        self.kinds = list(kinds)
        self.weights = [kind.weight for kind in self.kinds if not (long and kind.short_lived)]
        self.kinds = [kind for kind in self.kinds if not (long and kind.short_lived)]
        self.conn = self.pid = None
        self.seq = 0
        self.cancellable = False     # it has asked for a cancel or a time-out
        self.may_fail = frozenset()  # SQLSTATEs that the present work asks for
        self.calm = False            # the present work began when nothing happened any more
        self.busy = False            # at work, or about to be
        self.kind = self.query = None
        self.since = None            # of the statement that is waited for
        self.works = 0

    # ------------------------------------------------------------- statements

    def next(self):
        self.seq += 1
        return self.seq

    def tag(self):
        return f'{self.number}.{self.next()}'

    def pool(self, *names):
        return self.rng.choice(names or list(POOLS))

    async def ask(self, sql, *args):
        self.query, self.since = (sql, args), time.monotonic()
        try:
            return await self.conn.fetch(sql, *args)
        except asyncpg.PostgresError as error:
            if self.conn.is_closed() or error.severity != 'ERROR':
                raise Lost(str(error)) from error
            detail = getattr(error, 'detail', None)
            raise Refused(error.sqlstate, f'{error}{" -- " + detail if detail else ""}', self.query) from error
        except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            # the last is what asyncpg makes of a FATAL that came between two statements
            raise Lost(str(error)) from error
        finally:
            if self.since is not None:
                self.run.longest = max(self.run.longest, (time.monotonic() - self.since, self.kind or ''))
            self.since = None

    async def value(self, sql, *args):
        return (await self.ask(sql, *args))[0][0]

    def expect(self, got, wanted, what='the answer'):
        self.run.checks['answers'] += 1
        if got != wanted:
            self.run.fail(f'session {self.number} (pid {self.pid}), {self.kind}: {what} is not what was asked for',
                          f'got {str(got)[:500]}', f'wanted {str(wanted)[:500]}', f'query {self.query}')

    # ------------------------------------------------------------------- life

    async def live(self):
        while not self.run.over:
            self.busy = True
            await self.connect()
            try:
                while True:
                    self.busy = False
                    await asyncio.sleep(self.rng.uniform(0, 0.2))
                    if not self.run.go.is_set():
                        await self.run.go.wait()
                    if self.run.over:
                        break
                    self.busy = True
                    await self.work()
            except Lost as error:
                self.lost(error)
            except Exception as error:
                self.run.fail(f'session {self.number}, {self.kind}: the driver failed: {error!r}', traceback.format_exc())
                self.conn.terminate()
        await end(self.conn)

    def lost(self, error):
        since = self.connected_at
        self.conn.terminate()
        self.run.outcomes['(session)', 'lost'] += 1
        if self.run.crashed_at < since and self.pid not in self.run.terminated and self.kind != 'vanish':
            self.run.fail(f'session {self.number} (pid {self.pid}), {self.kind} was lost: {error}', f'query {self.query}')
        self.run.terminated.discard(self.pid)

    async def connect(self):
        until = time.monotonic() + HANG
        while True:
            try:
                self.connected_at = time.monotonic()
                self.conn = await self.run.connect('local', user='soak', name=f'session {self.number}')
                self.pid = self.conn.get_server_pid()
                # asyncpg's own question what these types are is a large one
                await self.conn.fetch('SELECT $1::bigint[], $2::text[]', [], [])
                return
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, asyncio.TimeoutError) as error:
                if time.monotonic() > until:
                    self.run.fail(f'session {self.number} cannot connect to the local server for {HANG} s: {error}')
                    until += HANG
                await asyncio.sleep(0.2)

    async def work(self):
        kind = self.rng.choices(self.kinds, self.weights)[0]
        self.kind = kind.__name__
        self.calm = calm = self.run.calm
        crashes = self.run.crashes
        self.cancellable, self.may_fail = False, frozenset()
        outcome = 'ok'
        try:
            try:
                await kind(self)
            except Refused as error:
                outcome = error.sqlstate
                self.judge(error, calm)
            await self.clean_up()
        except Lost:
            outcome = 'lost'
            if calm and not kind.short_lived and crashes == self.run.crashes:
                self.run.fail(f'session {self.number} (pid {self.pid}), {self.kind}: lost while nothing happened', f'query {self.query}')
            raise
        finally:
            self.works += 1
            self.run.outcomes[self.kind, outcome] += 1

    def judge(self, error, calm):
        """Is this an error that the session may get now?"""
        self.run.checks['errors'] += 1
        if error.sqlstate in self.may_fail or (error.sqlstate == '57014' and self.cancellable):
            return
        documented = error.sqlstate in DOCUMENTED or (error.sqlstate == '55000' and 'worker is not running' in error.text)
        if calm or not documented:
            self.run.fail(f'session {self.number} (pid {self.pid}), {self.kind}: {error}'
                          + (', while nothing happened' if calm else ''), f'query {error.query}')

    async def clean_up(self):
        """Whatever came of the work: no transaction and no lease is left."""
        if self.conn.is_closed():
            raise Lost('closed')
        while self.conn.is_in_transaction():
            try:
                await self.ask('ROLLBACK')
            except Refused as error:
                self.judge(error, False)
        try:
            await self.ask('SELECT enhanced_pool.release_all()')
        except Refused as error:
            self.judge(error, self.run.calm)
