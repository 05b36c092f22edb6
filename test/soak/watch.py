"""What has to hold at every moment, and what has to hold at rest."""

import asyncio
import os
import re
import time

import asyncpg

from common import BRIEF, BRIEF_LIMIT, HANG, POOLS, Lost

COUNTERS = '''total_created total_closed acquire_count acquire_timeouts wait_count total_wait_time lease_count total_lease_time
    query_count query_errors total_query_time rows_returned bytes_sent bytes_received transaction_count transaction_rollbacks
    reset_count validation_count validation_failures connection_errors health_check_count health_check_failures
    circuit_breaker_trips circuit_breaker_resets scale_ups scale_downs'''.split()

STATES = 'SELECT * FROM enhanced_pool._pool_states()'

# Servers' own words that something is wrong, whatever the sessions see.
BAD_LINE = re.compile(r'TRAP:|PANIC:|terminated by signal (?P<signal>\d+)|WARNING:  ([a-zA-Z ]+ leak:|resource was not closed)'
                      r'|WARNING: .*(problem in [a-z]+|write past chunk end)|runtime error: ')
KILLED_PID = re.compile(r'\(PID (\d+)\) was terminated by signal (\d+)')

AT_REST = '''
SELECT (SELECT count(*) FROM enhanced_pool.leases) + (SELECT count(*) FROM enhanced_pool.waiters) = 0
   AND coalesce(bool_and(p.size = s.size AND p.idle = s.idle AND p.active = s.active AND p.connecting = s.connecting AND p.waiting = s.waiting
       AND m.size = s.size AND m.idle = s.idle AND m.active = s.active AND s.active = 0 AND s.waiting = 0
       AND s.cancelling + s.resetting + s.broken + s.sessions = 0
       AND s.size = (SELECT count(*) FROM enhanced_pool.connection_metrics c WHERE c.pool = p.pool)), true)
  FROM enhanced_pool.pools p JOIN enhanced_pool.pool_states s USING (datname, pool, role) JOIN enhanced_pool.pool_metrics m USING (datname, pool, role)'''


LIMITS = {pool: limit for pool, (_, limit) in POOLS.items()} | {BRIEF: BRIEF_LIMIT}


class Watcher:
    def __init__(self, run, local, remotes):
        self.run, self.admin, self.remotes = run, local, remotes
        self.counters = {}           # pool: (stats_reset, values)
        self.most = dict.fromkeys(LIMITS, 0)
        self.most_local = dict.fromkeys(LIMITS, 0)
        self.most_waiting = 0

    # --------------------------------------------------------- continuously

    async def watch(self, look, pause):
        while not self.run.over:
            try:
                await look()
            except Lost:
                pass
            except asyncpg.PostgresError as error:
                if error.sqlstate not in ('57P01', '57P02', '57P03'):
                    self.run.fail(f'{look.__name__}: {error.sqlstate}: {error}')
            await asyncio.sleep(pause)

    def start(self):
        looks = [(self.local_states, 0.1), (self.local_counters, 0.5), (self.hangs, 1)]
        tasks = [asyncio.create_task(self.watch(look, pause)) for look, pause in looks]
        for server in self.remotes:
            async def limits(server=server):
                await self.remote_limits(server)
            tasks.append(asyncio.create_task(self.watch(limits, 0.1)))
        return tasks

    async def local_states(self):
        for row in await self.admin.fetch(STATES):
            self.run.checks['states'] += 1
            pool = row['pool']
            in_states = sum(row[state] for state in 'connecting idle active cancelling resetting validating broken closing checking'.split())
            self.most_local[pool] = max(self.most_local[pool], row['size'])
            self.most_waiting = max(self.most_waiting, row['waiting'])
            if not row['agrees'] or row['size'] != in_states or row['sessions'] > row['active'] or row['kept'] > row['size'] \
                    or min(row['size'], row['waiting'], row['kept'], row['checking']) < 0:
                self.run.fail(f'the states of {pool} do not agree', str(dict(row)))
            if row['size'] > LIMITS[pool] or row['checking'] > 1:
                self.run.fail(f'{pool} has {row["size"]} connections', str(dict(row)))

    async def local_counters(self):
        crashes = self.run.crashes
        for row in await self.admin.fetch(f'SELECT pool, stats_reset, {", ".join(COUNTERS)} FROM enhanced_pool.pool_metrics'):
            pool, values = row['pool'], {name: row[name] for name in COUNTERS}
            before = self.counters.get(pool)
            if before and before[0] == (row['stats_reset'], crashes):
                self.run.checks['counters'] += 1
                fallen = {name: (before[1][name], values[name]) for name in COUNTERS if (values[name] or 0) < (before[1][name] or 0)}
                if fallen:
                    self.run.fail(f'counters of {pool} have fallen: {fallen}')
            self.counters[pool] = ((row['stats_reset'], crashes), values)
        n, first, last = (await self.admin.fetch('SELECT count(*), min(id), max(id) FROM enhanced_pool.events'))[0]
        self.run.checks['events without a gap'] += 1
        if n and last - first + 1 != n:
            self.run.fail(f'{n} events have the numbers {first} to {last}')
        twice = await self.admin.fetch('SELECT conn_id FROM enhanced_pool.leases GROUP BY conn_id HAVING count(*) > 1')
        self.run.checks['leases'] += 1
        if twice:
            self.run.fail(f'connections leased twice: {[row[0] for row in twice]}')

    async def remote_limits(self, server):
        crashes, crashed_ago = self.run.crashes, time.monotonic() - self.run.killed_at
        # A crash of the local server leaves the remote to find out by itself.
        rows = await self.remotes[server].fetch('''SELECT usename, count(*) FILTER (WHERE backend_start > now() - make_interval(secs => $1)), count(*),
            string_agg(format('%s %s since %s, started %s, %s', pid, state, state_change, backend_start, left(query, 60)), E'\n      ')
            FROM pg_stat_activity WHERE usename LIKE 'soak\\_%' GROUP BY 1''', crashed_ago if crashes else 1e6)
        for user, n, all_of_them, them in rows:
            pool = user[len('soak_'):]
            self.run.checks['limits'] += 1
            self.most[pool] = max(self.most[pool], n)
            if n > LIMITS[pool] and crashes == self.run.crashes:
                self.run.fail(f'remote {server} sees {n} connections of {pool}, whose limit is {LIMITS[pool]}', them)

    async def hangs(self):
        now = time.monotonic()
        for s in self.run.sessions:
            if s.since is not None and now - s.since > HANG:
                self.run.fail(f'session {s.number} (pid {s.pid}), {s.kind}: no answer for {HANG} s', f'query {s.query}', *await self.picture())
                s.conn.terminate()
                s.since = None

    async def picture(self):
        """What the local server says of itself, as evidence."""
        lines = []
        for name in ('pool_states', 'leases', 'waiters'):
            try:
                lines += [f'{name}: {dict(row)}' for row in await self.admin.fetch(f'SELECT * FROM enhanced_pool.{name}')]
            except (Lost, asyncpg.PostgresError) as error:
                lines.append(f'{name}: {error}')
        return lines

    # --------------------------------------------------------------- at rest

    async def until(self, what, condition, seconds=60):
        """Wait for what must come about by itself."""
        end = time.monotonic() + seconds
        while True:
            evidence = await condition()
            if evidence is None:
                self.run.checks['at rest'] += 1
                return
            if time.monotonic() > end:
                self.run.fail(f'not within {seconds} s: {what}', *evidence, *await self.picture())
                return
            await asyncio.sleep(0.2)

    async def rest(self):
        """Nobody works."""
        async def quiet():
            row = await self.admin.insist(AT_REST)
            return None if row[0][0] else ['']

        async def same_number():
            """The remote has as many connections as the pool knows of, none of them at work."""
            sizes = {row[0]: row[1] for row in await self.admin.insist('SELECT pool, size FROM enhanced_pool.pool_states')}
            seen = dict.fromkeys(LIMITS, 0)
            busy = []
            for server in self.remotes:
                for user, n, active in await self.remotes[server].insist(
                        "SELECT usename, count(*), count(*) FILTER (WHERE state <> 'idle') FROM pg_stat_activity WHERE usename LIKE 'soak\\_%' GROUP BY 1"):
                    seen[user[len('soak_'):]] = n
                    if active:
                        busy.append(user)
            wrong = [f'{pool}: {n} seen, {sizes.get(pool, 0)} known' for pool, n in seen.items() if n != sizes.get(pool, 0)]
            return (wrong + busy) or None

        await self.until('nothing is leased, nobody waits, views agree', quiet)
        await self.until('the remote servers see what the pools know of', same_number)

    def logs(self):
        """Read the servers' logs: nothing crashed but what chaos killed."""
        for server in ('local', 'one', 'two'):
            with open(f'{self.run.directory}/{server}.log', encoding='utf-8', errors='replace') as file:
                for line in file:
                    bad = BAD_LINE.search(line)
                    if not bad:
                        continue
                    killed = KILLED_PID.search(line)
                    if killed and killed.group(2) == '9' and int(killed.group(1)) in self.run.killed:
                        continue
                    self.run.fail(f'the log of {server} says: {line.strip()[:300]}')
        self.run.checks['logs'] += 1
        reports = f'{self.run.directory}/sanitizer'
        for name in os.listdir(reports) if os.path.isdir(reports) else ():
            self.run.fail(f'a sanitizer has reported: {name}', open(f'{reports}/{name}', encoding='utf-8', errors='replace').read(4000))
        for folder in ('local', 'one', 'two'):
            for name in os.listdir(f'{self.run.directory}/{folder}'):
                if name.startswith('core'):
                    self.run.fail(f'{folder} has dumped core: {name}')
