"""What happens to servers, workers and connections, in an order that the seed chooses.

Two lines of it go on at the same time: heavy events, one after the other, and light
ones, which hit one connection, one session or one setting.
"""

import asyncio
import os
import signal
import time

import asyncpg

from common import BRIEF, POOLS, Lost

HEAVY, LIGHT = [], []


def event(line, weight):
    def mark(function):
        function.weight = weight
        line.append(function)
        return function
    return mark


def processes_of(directory):
    """The postmaster of a data directory and all that it has started."""
    try:
        with open(os.path.join(directory, 'postmaster.pid'), encoding='ascii') as file:
            postmaster = int(file.readline())
    except (OSError, ValueError):
        return []
    found = [postmaster]
    for name in os.listdir('/proc'):
        if name.isdigit():
            try:
                with open(f'/proc/{name}/stat', encoding='utf-8', errors='replace') as file:
                    parent = int(file.read().rpartition(')')[2].split()[1])
            except OSError:
                continue
            if parent == postmaster:
                found.append(int(name))
    return found


def send(signum, pids):
    for pid in pids:
        try:
            os.kill(pid, signum)
        except ProcessLookupError:
            pass


class Chaos:
    def __init__(self, run, admin, remotes):
        self.run, self.admin, self.remotes = run, admin, remotes
        self.rng = {HEAVY[0]: run.random('heavy'), LIGHT[0]: run.random('light')}
        self.kill_workers = True     # else processes are left alone, so that they live for long
        self.on = False
        self.pack = {}               # what comes next, the last first

    # --------------------------------------------------------------- tools

    def note(self, kind, text=''):
        self.run.events[kind] += 1
        self.run.log(f'{kind} {text}'.rstrip())

    async def pg_ctl(self, server, *args):
        process = await asyncio.create_subprocess_exec(
            'pg_ctl', '-s', '-w', '-t', '60', '-D', f'{self.run.directory}/{server}', '-l', f'{self.run.directory}/{server}.log', *args,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL)
        if await process.wait() != 0:
            self.run.fail(f'pg_ctl {" ".join(args)} of {server} failed')

    async def local(self, sql, *args):
        """An administrator's statement; what chaos does to it is no failure."""
        try:
            return await self.admin.fetch(sql, *args)
        except Lost:
            return []
        except asyncpg.PostgresError as error:
            if error.sqlstate not in ('08001', '08006', '57P01', '57P03', '55000', '53300'):
                self.run.fail(f'an administrator got {error.sqlstate}: {error}', sql)
            return []

    async def remote(self, server, sql, *args):
        try:
            return await self.remotes[server].fetch(sql, *args, timeout=5)
        except (Lost, asyncpg.PostgresError):
            return []

    def pool(self, rng):
        return rng.choice(list(POOLS))

    # ---------------------------------------------------------------- life

    async def line(self, events, pause):
        """Events of one line until it is switched off, with pauses of 0 to 2 * pause s.  They come
        as from a pack of cards, each as often in it as its weight says."""
        rng = self.rng[events[0]]
        while self.on:
            await asyncio.sleep(rng.uniform(0, 2 * pause))
            if not self.pack[events[0]]:
                self.pack[events[0]] = self.shuffled(events)
            chosen = self.pack[events[0]].pop()
            if self.on:
                await chosen(self, rng)

    def shuffled(self, events):
        pack = [e for e in events for _ in range(e.weight) if self.kill_workers or e not in FATAL]
        self.rng[events[0]].shuffle(pack)
        return pack

    async def rage(self, seconds):
        """Both lines for so many seconds; in the end everything is healed."""
        self.on = True
        self.pack = {HEAVY[0]: self.shuffled(HEAVY), LIGHT[0]: self.shuffled(LIGHT)}
        if self.kill_workers:
            # once at least, however short the round is
            self.pack[HEAVY[0]].insert(-self.rng[HEAVY[0]].randint(1, 4), kill_worker)
        lines = [asyncio.create_task(self.line(HEAVY, 3)), asyncio.create_task(self.line(LIGHT, 0.5))]
        await asyncio.sleep(seconds)
        self.on = False
        for line in lines:
            await line
        await self.heal()

    async def heal(self):
        for pool in POOLS:
            await self.admin.insist('SELECT enhanced_pool.resume($1)', pool)
        await self.admin.insist("ALTER SERVER narrow OPTIONS (SET max_size '4')")


# ------------------------------------------------------------- heavy events

@event(HEAVY, 4)
async def restart_fast(c, rng):
    await restart(c, rng, 'fast')


@event(HEAVY, 4)
async def restart_immediate(c, rng):
    await restart(c, rng, 'immediate')


async def restart(c, rng, mode):
    server, pause = rng.choice(('one', 'two')), rng.choice((0, 0, rng.uniform(0, 3)))
    c.note(f'remote restart, {mode}', f'{server}, {pause:.1f} s down')
    await c.pg_ctl(server, '-m', mode, 'stop')
    await asyncio.sleep(pause)
    await c.pg_ctl(server, 'start')


@event(HEAVY, 4)
async def freeze(c, rng):
    server, pause = rng.choice(('one', 'two')), rng.choice((rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(1, 8), rng.uniform(8, 16)))
    c.note('remote stopped (SIGSTOP)', f'{server}, {pause:.1f} s')
    await stop_for(pause, processes_of(f'{c.run.directory}/{server}'))


async def stop_for(pause, pids):
    send(signal.SIGSTOP, pids)
    try:
        await asyncio.sleep(pause)
    finally:
        send(signal.SIGCONT, pids)


@event(HEAVY, 2)
async def pause_pool(c, rng):
    pool, wait = c.pool(rng), rng.choice(('0', '2s'))
    pause = rng.uniform(0, 3)
    left = await c.local('SELECT enhanced_pool.pause($1, $2::text::interval)', pool, wait)
    c.note('pause and resume', f'{pool}, {pause:.1f} s, {left[0][0] if left else "?"} leases left')
    await asyncio.sleep(pause)
    await c.admin.insist('SELECT enhanced_pool.resume($1)', pool)


@event(HEAVY, 2)
async def terminate_all(c, rng):
    pool = c.pool(rng)
    c.note('pg_terminate_backend of all remote sessions of a pool', pool)
    await c.remote(POOLS[pool][0], 'SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = $1', 'soak_' + pool)


async def worker(c, rng):
    rows = await c.local("SELECT pid FROM pg_stat_activity WHERE backend_type = 'enhanced_pool worker' ORDER BY pid")
    return rng.choice(rows)[0] if rows else None


@event(HEAVY, 2)
async def kill_remote(c, rng):
    """A remote session is killed, and its server begins anew."""
    pool = c.pool(rng)
    rows = await c.remote(POOLS[pool][0], 'SELECT pid FROM pg_stat_activity WHERE usename = $1 ORDER BY random() LIMIT 1', 'soak_' + pool)
    if rows:
        c.note('remote session killed (SIGKILL)', pool)
        c.run.killed.add(rows[0][0])
        send(signal.SIGKILL, [rows[0][0]])


@event(HEAVY, 2)
async def freeze_worker(c, rng):
    pid, pause = await worker(c, rng), rng.uniform(0, 3)
    if pid is not None:
        c.note('worker stopped (SIGSTOP)', f'{pid}, {pause:.1f} s')
        await stop_for(pause, [pid])


@event(HEAVY, 1)
async def kill_worker(c, rng):
    pid = await worker(c, rng)
    if pid is not None:
        c.note('worker killed (SIGKILL)', str(pid))
        await kill(c, pid)


@event(HEAVY, 1)
async def kill_session(c, rng):
    pid = rng.choice(c.run.sessions).pid
    # it may have ended, and its number be somebody else's
    if pid in processes_of(f'{c.run.directory}/local'):
        c.note('local session killed (SIGKILL)', str(pid))
        await kill(c, pid)


async def kill(c, pid):
    """The local server ends all processes and begins anew."""
    c.run.killed.add(pid)
    c.run.crashes += 1
    c.run.killed_at = c.run.crashed_at = time.monotonic()
    send(signal.SIGKILL, [pid])
    await asyncio.sleep(0.5)
    await c.admin.insist('SELECT 1')
    c.run.crashed_at = time.monotonic()


@event(HEAVY, 1)
async def restart_local(c, rng):
    mode = rng.choice(('fast', 'immediate'))
    c.note('local restart, ' + mode)
    c.run.crashes += 1
    c.run.killed_at = c.run.crashed_at = time.monotonic()
    await c.pg_ctl('local', '-m', mode, 'stop')
    await c.pg_ctl('local', 'start')
    c.run.crashed_at = time.monotonic()


@event(HEAVY, 2)
async def end_worker(c, rng):
    pid = await worker(c, rng)
    if pid is not None:
        c.note('worker ended (SIGTERM)', str(pid))
        await c.local('SELECT pg_terminate_backend($1)', pid)


@event(HEAVY, 2)
async def freeze_session(c, rng):
    pid, pause = rng.choice(c.run.sessions).pid, rng.uniform(0, 2)
    if pid in processes_of(f'{c.run.directory}/local'):
        c.note('local session stopped (SIGSTOP)', f'{pid}, {pause:.1f} s')
        await stop_for(pause, [pid])


# Without these processes live for long.
FATAL = (kill_worker, kill_session, restart_local, end_worker)


# ------------------------------------------------------------- light events

@event(LIGHT, 6)
async def terminate_remote(c, rng):
    pool = c.pool(rng)
    c.note('pg_terminate_backend of a remote session', pool)
    await c.remote(POOLS[pool][0], "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1 ORDER BY state <> 'idle' AND $2 DESC, random() LIMIT $3",
                   'soak_' + pool, rng.random() < 0.5, rng.randint(1, 2))


@event(LIGHT, 5)
async def terminate_local(c, rng):
    sessions = [s for s in c.run.sessions if not s.long and s.conn and not s.conn.is_closed()]
    # every other time one that commits, if there is one
    committing = [s for s in sessions if s.since is not None and s.query[0] == 'COMMIT']
    if sessions:
        victim = rng.choice(committing if committing and rng.random() < 0.5 else sessions)
        c.note('pg_terminate_backend of a local session', f'{victim.number} (pid {victim.pid})')
        c.run.terminated.add(victim.pid)
        await c.local("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND usename = 'soak'", victim.pid)


@event(LIGHT, 4)
async def terminate_connection(c, rng):
    pool = c.pool(rng)
    c.note('terminate_connection', pool)
    await c.local('SELECT enhanced_pool.terminate_connection(conn_id) FROM (SELECT conn_id FROM enhanced_pool.connection_metrics WHERE pool = $1 ORDER BY random() LIMIT 1) x', pool)


@event(LIGHT, 2)
async def recycle(c, rng):
    pool = c.pool(rng)
    c.note('recycle', pool)
    await c.local('SELECT enhanced_pool.recycle($1)', pool)


@event(LIGHT, 2)
async def close_pool(c, rng):
    pool = c.pool(rng)
    c.note('close_pool', pool)
    await c.local('SELECT enhanced_pool.close_pool($1)', pool)


@event(LIGHT, 2)
async def reload_local(c, rng):
    c.note('reload of the local server')
    await c.local(f"ALTER SYSTEM SET enhanced_pool.leak_detection_threshold = '{rng.randint(1, 9)}min'")
    await c.local('SELECT pg_reload_conf()')


@event(LIGHT, 1)
async def reload_remote(c, rng):
    server = rng.choice(('one', 'two'))
    c.note('reload of a remote server', server)
    await c.remote(server, 'SELECT pg_reload_conf()')


@event(LIGHT, 2)
async def alter_size(c, rng):
    size = rng.randint(4, 6)
    c.note('ALTER SERVER: max_size', f'narrow, {size}')
    await c.local(f"ALTER SERVER narrow OPTIONS (SET max_size '{size}')")


@event(LIGHT, 2)
async def alter_connections(c, rng):
    """What connections are made from is another: all are replaced."""
    pool = c.pool(rng)
    c.note('ALTER SERVER: how it connects', pool)
    await c.local(f"ALTER SERVER {pool} OPTIONS (SET connect_timeout '{rng.randint(3, 5)}s')")
    await c.local('SELECT enhanced_pool.configure_pool($1, jsonb_build_object($2::text, $3::text))', pool, 'options', f'-c work_mem={rng.randint(1, 9)}MB')


@event(LIGHT, 2)
async def configure(c, rng):
    pool = c.pool(rng)
    c.note('configure_pool', pool)
    await c.local('SELECT enhanced_pool.configure_pool($1, jsonb_build_object($2::text, $3::text))', pool, 'validation_interval', f'{rng.randint(1, 60)}s')


@event(LIGHT, 2)
async def drop_pool(c, rng):
    """A definition that comes and goes."""
    pause = rng.choice((0, rng.uniform(0, 1)))
    c.note('DROP SERVER and CREATE SERVER', BRIEF)
    await c.admin.insist(f'DROP SERVER IF EXISTS {BRIEF} CASCADE')
    await asyncio.sleep(pause)
    await c.admin.insist('CALL define_brief()')


@event(LIGHT, 1)
async def check_health(c, rng):
    pool = c.pool(rng)
    c.note('health_check', pool)
    await c.local('SELECT enhanced_pool.health_check($1)', pool)


@event(LIGHT, 1)
async def prewarm(c, rng):
    pool = c.pool(rng)
    c.note('prewarm', pool)
    await c.local('SELECT enhanced_pool.prewarm($1)', pool)


@event(LIGHT, 1)
async def reset(c, rng):
    pool = c.pool(rng)
    c.note('reset_breaker and reset_stats', pool)
    await c.local('SELECT enhanced_pool.reset_breaker($1)', pool)
    await c.local('SELECT enhanced_pool.reset_stats($1)', pool)
