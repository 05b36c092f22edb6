"""What sessions do but for writing: each asks for its own tag, and must get it."""

import asyncio
import json

from common import Refused


def kind(weight, short_lived=False):
    """weight: how often; short_lived: it may end the session, so long-lived ones do without."""
    def mark(function):
        function.weight, function.short_lived = weight, short_lived
        KINDS.append(function)
        return function
    return mark


KINDS = []
ROWS = "SELECT $1::text, current_setting(''soak.mark'', true), g FROM generate_series(1, $2::int) g"


@kind(30)
async def one_shot(s):
    """Rows of one's own, on a connection that shows nothing of those who had it before."""
    tag, n = s.tag(), s.rng.choice((1, 1, 1, 1, 5, 400))
    rows = await s.ask(f"SELECT tag, coalesce(mark, ''), n FROM enhanced_pool.execute($1::text, '{ROWS}', $2::text, $3::int) AS t(tag text, mark text, n int)",
                       s.pool(), tag, n)
    s.expect([tuple(row) for row in rows], [(tag, '', i) for i in range(1, n + 1)])


@kind(6)
async def as_json(s):
    tag = s.tag()
    got = await s.value("SELECT enhanced_pool.execute_json($1::text, 'SELECT $1::text AS tag, 7 AS n', $2::text)", s.pool(), tag)
    s.expect(json.loads(got), {'tag': tag, 'n': 7})


@kind(4)
async def failing(s):
    s.may_fail = {'22012'}
    await s.ask("SELECT enhanced_pool.exec($1::text, 'SELECT 1 / $1::int', 0)", s.pool())


@kind(6)
async def brief(s):
    """On a pool that may not be there, or end at any time."""
    s.may_fail = {'42704'}
    tag = s.tag()
    s.expect(await s.value("SELECT v FROM enhanced_pool.execute('brief', 'SELECT $1::text FROM pg_sleep(0.01)', $1::text) AS t(v text)", tag), tag)
    await s.ask('BEGIN')
    await s.ask("SELECT enhanced_pool.exec(enhanced_pool.session('brief'), 'SELECT 1')")
    await s.ask('COMMIT')


@kind(4)
async def dirty(s):
    """What one leaves on a connection is gone when the next gets it: see one_shot."""
    await s.ask("SELECT enhanced_pool.exec($1::text, $2::text)", s.pool(), f"SET soak.mark = '{s.tag()}'")


@kind(5)
async def tenant(s):
    """A setting that follows is the one of this session."""
    tag = s.rng.choice((s.tag(), ''))
    await s.ask("SELECT set_config('soak.tenant', $1, false)", tag)
    for _ in range(2):
        got = await s.value("SELECT coalesce(v, '') FROM enhanced_pool.execute('wide', 'SELECT current_setting(''soak.tenant'', true)') AS t(v text)")
        s.expect(got, tag, 'soak.tenant')


@kind(12)
async def lease(s):
    """Several statements on one connection, with state on it."""
    pool, tag = s.pool(), s.tag()
    held = s.rng.random() < 0.5
    if not held:
        await s.ask('BEGIN')
    number = await s.value('SELECT enhanced_pool.acquire($1, hold => $2)', pool, held)
    await s.ask('SELECT enhanced_pool.exec($1::bigint, $2::text)', number, f"SET soak.mark = '{tag}'")
    for _ in range(s.rng.randint(1, 4)):
        mine = s.tag()
        rows = await s.ask("SELECT tag, mark FROM enhanced_pool.execute($1::bigint, 'SELECT $1::text, current_setting(''soak.mark'')', $2::text) AS t(tag text, mark text)",
                           number, mine)
        s.expect(tuple(rows[0]), (mine, tag))
        await asyncio.sleep(s.rng.choice((0, 0.01, 0.05)))
    if s.rng.random() < 0.7:
        s.expect(await s.value('SELECT enhanced_pool.release($1::bigint)', number), True, 'release')
    if not held:
        await s.ask(s.rng.choice(('COMMIT', 'ROLLBACK')))


@kind(4)
async def two_leases(s):
    """Two connections at the same time; who waits for the other is found."""
    s.may_fail = {'40P01'}
    tags = (s.tag(), s.tag())
    await s.ask('BEGIN')
    leases = [await s.value('SELECT enhanced_pool.acquire($1)', s.pool('narrow', 'fast', 'tls')) for _ in tags]
    for number, tag in zip(leases, tags):
        await s.ask("SELECT enhanced_pool.send($1::bigint, 'SELECT $1::text FROM pg_sleep(0.02)', $2::text)", number, tag)
    for _ in range(s.rng.randint(0, 2)):
        await s.ask('SELECT enhanced_pool.wait_any($1::bigint[])', leases)
    for number, tag in zip(leases, tags):
        s.expect(await s.value('SELECT v FROM enhanced_pool.get_result($1::bigint) AS t(v text)', number), tag)
    await s.ask('COMMIT')


@kind(8)
async def session(s):
    """Reads in a transaction of a session, and in a subtransaction of it."""
    pool, tag = s.pool(), s.tag()
    await s.ask('BEGIN' + s.rng.choice(('', ' ISOLATION LEVEL REPEATABLE READ', ' READ ONLY')))
    for i in range(3):
        if i == 1:
            await s.ask('SAVEPOINT a')
        rows = await s.ask("SELECT v, mark FROM enhanced_pool.execute(enhanced_pool.session($1), 'SELECT $1::text, set_config(''soak.mark'', $1, true)', $2::text) AS t(v text, mark text)",
                           pool, f'{tag}.{i}')
        s.expect(tuple(rows[0]), (f'{tag}.{i}', f'{tag}.{i}'))
    await s.ask('ROLLBACK TO a')
    got = await s.value("SELECT v FROM enhanced_pool.execute(enhanced_pool.session($1), 'SELECT current_setting(''soak.mark'')') AS t(v text)", pool)
    s.expect(got, f'{tag}.0', 'the setting after ROLLBACK TO')
    await s.ask(s.rng.choice(('COMMIT', 'ROLLBACK')))


@kind(6)
async def parallel(s):
    """Operations at the same time; those that chaos hits say so in their rows."""
    tag, n = s.tag(), s.rng.randint(1, 8)
    operations = [f"SELECT '{tag}.{i}' AS tag FROM pg_sleep(0.00{i})" for i in range(n)]
    rows = await s.ask('SELECT operation, success, rows, sqlstate, error FROM enhanced_pool.run_parallel($1, $2::text[], max_parallel => $3, on_error => $4) ORDER BY operation',
                       s.pool(), operations, s.rng.choice((None, 2)), s.rng.choice(('raise', 'capture')))
    check_operations(s, rows, [f'{tag}.{i}' for i in range(n)])


@kind(4)
async def broadcast(s):
    tag = s.tag()
    pools = s.rng.sample(['fast', 'narrow', 'follow', 'tls', 'wide'], 3)
    s.may_fail = {'40P01'}
    rows = await s.ask("SELECT operation, success, rows, sqlstate, error FROM enhanced_pool.broadcast($1::text[], 'SELECT $1 AS tag', ARRAY[$2::text], on_error => 'capture') ORDER BY operation",
                       pools, tag)
    check_operations(s, rows, [tag] * 3)


def check_operations(s, rows, tags):
    s.expect(len(rows), len(tags), 'the number of results')
    for row, tag in zip(rows, tags):
        if row['success']:
            s.expect(json.loads(row['rows']), [{'tag': tag}])
        else:
            s.judge(Refused(row['sqlstate'], row['error'], s.query), s.calm)


@kind(5)
async def cursor(s):
    """A cursor of the remote, in a transaction on a lease."""
    tag, n = s.tag(), s.rng.randint(0, 30)
    number = await s.value('SELECT enhanced_pool.acquire($1, hold => true)', s.pool())
    await s.ask("SELECT enhanced_pool.exec($1::bigint, 'BEGIN')", number)
    await s.ask("SELECT enhanced_pool.exec($1::bigint, $2::text)", number,
                f"DECLARE c CURSOR FOR SELECT '{tag}', g FROM generate_series(1, {n}) g")
    seen = []
    while True:
        rows = await s.ask("SELECT tag, n FROM enhanced_pool.execute($1::bigint, 'FETCH 10 FROM c') AS t(tag text, n int)", number)
        seen += [tuple(row) for row in rows]
        if len(rows) < 10:
            break
    s.expect(seen, [(tag, i) for i in range(1, n + 1)])
    await s.ask("SELECT enhanced_pool.exec($1::bigint, 'COMMIT')", number)


@kind(5)
async def local_cursor(s):
    """A local cursor over a remote answer, not read to its end."""
    tag = s.tag()
    await s.ask('BEGIN')
    await s.ask(f"DECLARE c CURSOR FOR SELECT * FROM enhanced_pool.execute('{s.pool()}', 'SELECT $1::text, g FROM generate_series(1, 2000) g', '{tag}'::text) AS t(tag text, n int)")
    for i in range(s.rng.randint(0, 3)):
        rows = await s.ask('FETCH 50 FROM c')
        s.expect([tuple(row) for row in rows], [(tag, n) for n in range(i * 50 + 1, i * 50 + 51)])
    await s.ask(s.rng.choice(('CLOSE c', 'ROLLBACK', 'COMMIT')))


@kind(3)
async def script(s):
    tag = s.tag()
    rows = await s.ask('SELECT statement, command, row_count FROM enhanced_pool.run_script($1::text, $2::text)', s.pool(),
                       f"SELECT '{tag}'; SELECT generate_series(1, 5); SET soak.mark = '{tag}'")
    s.expect([tuple(row) for row in rows], [(1, 'SELECT', 1), (2, 'SELECT', 5), (3, 'SET', 0)])


@kind(3)
async def by_name(s):
    tag = s.tag()
    rows = await s.ask("SELECT n, tag FROM enhanced_pool.execute_as(NULL::copied, $1::text, 'SELECT 3 AS n, $1::text AS tag', $2::text)", s.pool(), tag)
    s.expect([tuple(row) for row in rows], [(3, tag)])


@kind(3)
async def listen(s):
    """A notification that another connection of the same pool sends."""
    pool, tag, channel = s.pool('fast', 'tls', 'wide'), s.tag(), f'soak_{s.number}'
    number = await s.value('SELECT enhanced_pool.acquire($1, hold => true)', pool)
    await s.ask('SELECT enhanced_pool.exec($1::bigint, $2::text)', number, f'LISTEN {channel}')
    await s.ask("SELECT enhanced_pool.exec($1::text, 'SELECT pg_notify($1, $2)', $2::text, $3::text)", pool, channel, tag)
    rows = await s.ask("SELECT notify_name, extra FROM enhanced_pool.get_notify($1::bigint, '20s')", number)
    s.expect([tuple(row) for row in rows], [(channel, tag)])


@kind(3)
async def copy_from(s):
    tag = s.tag()
    await s.ask('BEGIN')
    n = await s.value("SELECT enhanced_pool.copy_from($1, $2, 'copied')", s.pool('fast', 'wide', 'tls'),
                      f"SELECT '{tag}'::text AS tag, g AS n FROM generate_series(1, 1000) g")
    s.expect(n, 1000, 'rows copied')
    s.expect(tuple((await s.ask('SELECT count(*), sum(n) FROM copied WHERE tag = $1', tag))[0]), (1000, 500500))
    await s.ask('ROLLBACK')


# ------------------------------------------------------ cancels and time-outs

async def slow(s, seconds):
    """A slow statement in one of many ways; what comes back is checked."""
    pool, tag = s.pool(), s.tag()
    sql = f'SELECT $1::text FROM pg_sleep({seconds})'
    how = s.rng.choice(('execute', 'lease', 'session', 'parallel', 'pending'))
    if how == 'execute':
        got = await s.value(f"SELECT v FROM enhanced_pool.execute($1::text, '{sql}', $2::text) AS t(v text)", pool, tag)
    elif how == 'parallel':
        rows = await s.ask("SELECT rows FROM enhanced_pool.run_parallel($1, $2::text[])", pool, [f"SELECT '{tag}' AS v FROM pg_sleep({seconds})"] * 3)
        got = json.loads(rows[2]['rows'])[0]['v']
    else:
        start = 'session($1)' if how == 'session' else 'acquire($1, hold => true)'
        number = await s.value(f"SELECT enhanced_pool.{start}", pool)
        if how == 'pending':
            await s.ask(f"SELECT enhanced_pool.send($1::bigint, '{sql}', $2::text)", number, tag)
            got = await s.value("SELECT v FROM enhanced_pool.get_result($1::bigint) AS t(v text)", number)
        else:
            got = await s.value(f"SELECT v FROM enhanced_pool.execute($1::bigint, '{sql}', $2::text) AS t(v text)", number, tag)
    s.expect(got, tag)


@kind(6)
async def cancelled(s):
    s.cancellable = True
    await cancel_during(s, slow_in_transaction(s, s.rng.choice((0, 0.05, 0.5))))


async def slow_in_transaction(s, seconds):
    await s.ask('BEGIN')
    await slow(s, seconds)
    await s.ask('COMMIT')


async def cancel_during(s, work):
    """Run it and have it cancelled at some moment, by another session.  When this
    returns the signal has come, and the next statement is not hit any more."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.sleep(s.rng.uniform(0, 0.15))
        await s.run.try_admin('SELECT pg_cancel_backend($1)', s.pid)
    finally:
        # the task ends whatever happens: see HANG
        try:
            await task
        finally:
            if not s.conn.is_closed():
                try:
                    await s.ask('SELECT 1')
                except Refused as error:
                    if error.sqlstate not in ('57014', '25P02'):
                        raise


@kind(5)
async def statement_timeout(s):
    s.cancellable = True
    await s.ask('BEGIN')
    await s.ask(f'SET LOCAL statement_timeout = {s.rng.randint(1, 120)}')
    await slow(s, s.rng.choice((0, 0.05, 0.5)))
    await s.ask('COMMIT')


@kind(5)
async def query_timeout(s):
    """The pool's time-out, which the worker's cancel ends on the remote."""
    s.cancellable = True
    await s.ask('BEGIN')
    await s.ask(f"SET LOCAL enhanced_pool.query_timeout = '{s.rng.randint(1, 120)}ms'")
    await slow(s, s.rng.choice((0, 0.05, 0.5)))
    await s.ask('COMMIT')


@kind(3)
async def lease_cancel(s):
    """cancel() of what was sent, and another statement right after it on the same connection."""
    s.may_fail = {'57014'}
    tag = s.tag()
    number = await s.value('SELECT enhanced_pool.acquire($1, hold => true)', s.pool())
    await s.ask("SELECT enhanced_pool.send($1::bigint, 'SELECT $1::text FROM pg_sleep(0.3)', $2::text)", number, tag)
    await asyncio.sleep(s.rng.uniform(0, 0.1))
    await s.ask('SELECT enhanced_pool.cancel($1::bigint)', number)
    try:
        s.expect(await s.value('SELECT v FROM enhanced_pool.get_result($1::bigint) AS t(v text)', number), tag)
    except Refused as error:
        if error.sqlstate != '57014':
            raise
    s.may_fail = frozenset()
    tag = s.tag()
    s.expect(await s.value("SELECT v FROM enhanced_pool.execute($1::bigint, 'SELECT $1::text', $2::text) AS t(v text)", number, tag), tag)


@kind(2, short_lived=True)
async def vanish(s):
    """The client goes away in the middle of something."""
    task = asyncio.ensure_future(slow_in_transaction(s, 0.3))
    await asyncio.sleep(s.rng.uniform(0, 0.15))
    s.conn.terminate()
    await task
