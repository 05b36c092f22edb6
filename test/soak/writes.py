"""Sessions that write, and the ledger of what they were told.

Each write has a number of its own.  At the end of each round the remote tables are
compared with the ledger: what was said to be committed is there once, what was
refused is not there, and the rest is there once or not at all.
"""

from common import POOLS, Refused
from work import cancel_during, kind

YES, NO, MAYBE = 'committed', 'refused', 'unknown'

# Errors that are raised before anything is sent, and what the statement itself raises.
BEFORE = {'08001', '57P03', '53300', '55000', '40P01', '22012'}


class Ledger:
    def __init__(self, run):
        self.run = run
        self.told = {}          # (pool, client, seq): YES, NO or MAYBE
        self.local = {}         # (client, seq): the same for the local row, with the pools of the remote ones
        self.totals = {YES: 0, NO: 0, MAYBE: 0}

    def write(self, pool, session):
        """A new write: unknown until somebody has told."""
        key = (pool, session.number, session.next())
        self.told[key] = MAYBE
        return key

    async def check(self, admins):
        """Nobody writes now.  Compare, and begin anew."""
        seen = {}
        for server in ('one', 'two'):
            for pool, client, seq, n in await admins[server].insist('SELECT pool, client, seq, count(*) FROM ledger GROUP BY 1, 2, 3'):
                seen[pool, client, seq] = n
        local = {(client, seq): n for client, seq, n in await admins['local'].insist('SELECT client, seq, count(*) FROM ledger GROUP BY 1, 2')}

        for key in seen.keys() - self.told.keys():
            self.run.fail(f'{key} was written and never asked for')
        for key, status in self.told.items():
            n = seen.get(key, 0)
            self.totals[status] += 1
            if n not in {YES: (1,), NO: (0,), MAYBE: (0, 1)}[status]:
                self.run.fail(f'the write {key} was {status}, and is there {n} times')
        for key, (status, writes) in self.local.items():
            n = local.get(key, 0)
            if n not in {YES: (1,), NO: (0,), MAYBE: (0, 1)}[status]:
                self.run.fail(f'the local row {key} was {status}, and is there {n} times')
            for write in writes:
                if n and not seen.get(write):
                    self.run.fail(f'the local row {key} was committed, and the remote one {write} was not')
        self.run.checks['writes'] += len(self.told)
        self.run.checks['local and remote rows'] += len(self.local)
        self.told.clear()
        self.local.clear()
        await admins['one'].insist('TRUNCATE ledger')
        await admins['two'].insist('TRUNCATE ledger')
        await admins['local'].insist('TRUNCATE ledger')


def settle(s, keys, status):
    for key in keys:
        s.run.ledger.told[key] = status


async def told(s, keys, work, unknown=None):
    """A write that commits by itself: what its end says of it.  unknown: the only
    SQLSTATE that leaves it open whether it did."""
    try:
        result = await work
    except Refused as error:
        settle(s, keys, NO if error.sqlstate in BEFORE or (unknown and error.sqlstate != unknown) else MAYBE)
        raise
    settle(s, keys, YES)
    return result


INSERT = "INSERT INTO ledger VALUES ($1, $2::int, $3::bigint)"


@kind(12)
async def write(s):
    key = s.run.ledger.write(s.pool('fast', 'narrow', 'tls', 'wide'), s)
    n = await told(s, [key], s.value(f"SELECT enhanced_pool.exec($1::text, '{INSERT}', $1::text, $2::int, $3::bigint)", *key))
    s.expect(n, 1, 'the number of rows written')


@kind(2)
async def refused_write(s):
    s.may_fail = {'22012'}
    key = s.run.ledger.write(s.pool('fast', 'narrow', 'tls', 'wide'), s)
    await told(s, [key], s.ask("SELECT enhanced_pool.exec($1::text, 'INSERT INTO ledger VALUES ($1, $2::int, 1 / ($3::bigint - $3::bigint))', $1::text, $2::int, $3::bigint)", *key))


@kind(4)
async def cancelled_write(s):
    """Where the cancel hits it nobody knows."""
    s.cancellable = True
    key = s.run.ledger.write(s.pool('fast', 'narrow', 'tls', 'wide'), s)
    sql = f"INSERT INTO ledger SELECT $1, $2::int, $3::bigint FROM pg_sleep({s.rng.choice((0, 0.05))})"
    await cancel_during(s, told(s, [key], s.ask("SELECT enhanced_pool.exec($1::text, $4::text, $1::text, $2::int, $3::bigint)", *key, sql)))


@kind(4)
async def write_on_lease(s):
    """A transaction that the session itself begins and commits."""
    pool = s.pool()
    keys = [s.run.ledger.write(pool, s) for _ in range(2)]
    settle(s, keys, NO)
    number = await s.value('SELECT enhanced_pool.acquire($1, hold => true)', pool)
    await s.ask("SELECT enhanced_pool.exec($1::bigint, 'BEGIN')", number)
    for key in keys:
        await s.ask(f"SELECT enhanced_pool.exec($4::bigint, '{INSERT}', $1::text, $2::int, $3::bigint)", *key, number)
    if s.rng.random() < 0.3:
        await s.ask("SELECT enhanced_pool.exec($1::bigint, 'ROLLBACK')", number)
        return
    settle(s, keys, MAYBE)
    await told(s, keys, s.ask("SELECT enhanced_pool.exec($1::bigint, 'COMMIT')", number))


@kind(4)
async def write_together(s):
    """run_in_transaction: all or nothing."""
    pool = s.pool('fast', 'narrow', 'tls', 'wide')
    keys = [s.run.ledger.write(pool, s) for _ in range(3)]
    await told(s, keys, s.ask('SELECT success FROM enhanced_pool.run_in_transaction($1, $2::text[])', pool,
                              ["INSERT INTO ledger VALUES ('%s', %d, %d)" % key for key in keys]), unknown='08007')


@kind(4)
async def write_in_parallel(s):
    """Each operation by itself, on pools of its own; their rows say what came of them."""
    s.may_fail = {'40P01'}
    keys = [s.run.ledger.write(s.pool('fast', 'narrow', 'tls', 'wide'), s) for _ in range(4)]
    operations = "ARRAY(SELECT enhanced_pool.op_on(p, q) FROM unnest($1::text[], $2::text[]) AS x(p, q))"
    rows = await s.ask(f"SELECT operation, success, sqlstate, error, elapsed FROM enhanced_pool.run_parallel('fast', {operations}, on_error => 'capture') ORDER BY operation",
                       [key[0] for key in keys], ["INSERT INTO ledger VALUES ('%s', %d, %d)" % key for key in keys])
    s.expect(len(rows), 4, 'the number of results')
    for key, row in zip(keys, rows):
        if row['success']:
            settle(s, [key], YES)
        else:
            settle(s, [key], NO if row['elapsed'] is None or row['sqlstate'] in BEFORE else MAYBE)
            s.judge(Refused(row['sqlstate'], row['error'], s.query), s.calm)


@kind(2)
async def copy_to(s):
    pool = s.pool('fast', 'tls', 'wide')
    keys = [s.run.ledger.write(pool, s) for _ in range(20)]
    query = f"SELECT '{pool}'::text, {s.number}, g::bigint FROM generate_series({keys[0][2]}, {keys[-1][2]}) g"
    await told(s, keys, s.ask("SELECT enhanced_pool.copy_to($1, 'ledger', $2)", pool, query))


# ------------------------------------------------ with the local transaction

@kind(14)
async def write_with_local(s):
    """A local row and remote ones in one transaction, on one pool or two, now and then
    with a subtransaction that is undone, a rollback, a cancel."""
    ledger = s.run.ledger
    pools = s.rng.sample(list(POOLS), s.rng.choice((1, 1, 1, 2)))
    if len(pools) > 1:
        s.may_fail = {'40P01'}
    keys = [ledger.write(pool, s) for pool in pools]
    undone = [ledger.write(pools[0], s)]
    row = (s.number, keys[0][2])
    settle(s, keys + undone, NO)
    ledger.local[row] = (NO, keys)
    work = local_transaction(s, row, keys, undone)
    if s.rng.random() < 0.15:
        s.cancellable = True
        await cancel_during(s, work)
    else:
        await work


@kind(6)
async def write_caught(s):
    """Errors that an exception handler catches: what was undone stays so, and a lost
    connection does not let the local transaction commit."""
    ledger, pool = s.run.ledger, s.pool()
    keys = [ledger.write(pool, s) for _ in range(3)]
    row = (s.number, keys[0][2])
    settle(s, keys, NO)
    ledger.local[row] = (NO, [])
    await s.ask('BEGIN')
    await s.ask('INSERT INTO ledger VALUES ($1, $2)', *row)
    written = []
    for key in keys:
        error = await s.value('SELECT attempt($1, $2, $3)', *key)
        if error is None:
            written.append(key)
        else:
            s.judge(Refused(error, 'caught', s.query), s.calm)
    await commit(s, row, written)


async def local_transaction(s, row, keys, undone):
    insert = f"SELECT enhanced_pool.exec(enhanced_pool.session($1::text), '{INSERT}', $1::text, $2::int, $3::bigint)"
    by_name = insert.replace('enhanced_pool.session($1::text)', '$1::text')
    await s.ask('BEGIN')
    if s.rng.random() < 0.1:
        s.cancellable = True
        await s.ask(f'SET LOCAL statement_timeout = {s.rng.randint(1, 60)}')
    await s.ask('INSERT INTO ledger VALUES ($1, $2)', *row)
    for key in keys:
        # autocommit is off in this one
        await s.ask(by_name if key[0] == 'follow' else insert, *key)
    if s.rng.random() < 0.3:
        await s.ask('SAVEPOINT a')
        await s.ask(insert, *undone[0])
        await s.ask('ROLLBACK TO a')
    if s.rng.random() < 0.2:
        await s.ask('ROLLBACK')
        return
    await commit(s, row, keys)


async def commit(s, row, keys):
    """COMMIT, and what its end says.  Of one thing there is no doubt: where the local row
    is, the remote ones are."""
    ledger = s.run.ledger
    settle(s, keys, MAYBE)
    ledger.local[row] = (MAYBE, keys)
    try:
        await s.ask('COMMIT')
    except Refused as error:
        ledger.local[row] = (NO, keys)
        if error.sqlstate != '08007':
            settle(s, keys, NO)
        raise
    settle(s, keys, YES)
    ledger.local[row] = (YES, keys)
