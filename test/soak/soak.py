"""The soak test: soak.py DIRECTORY MINUTES SEED TLS_PORT, run by test/harness/soak.

A hundred sessions of the local server work over five pools (work.py, writes.py), while
chaos.py kills, stops, restarts and alters what they depend on, and watch.py and
memory.py look at what has to hold.  It goes in rounds.  Each ends with a time of calm,
in which work goes on and no error is excused, and with a rest, in which nobody works:
nothing may be leased then, nobody wait, and every write be where its writer was told
that it is.  Workers are killed in the first half of the run alone, so that processes of
the second live long enough to show what they keep.
"""

import asyncio
import os
import sys
import time

import asyncpg

import writes
from chaos import Chaos
from common import HANG, LONG, POOLS, SESSIONS, Admin, Run
from memory import Memory
from session import Session
from watch import Watcher
from work import KINDS

CALM = 5         # s of work after each round that nothing disturbs


async def answer_again(run):
    """Every pool answers after what chaos did, within a time in which breakers, lists of hosts
    and waits in the middle of a cancel end."""
    admin = await run.connect('local', user='soak', name='probe')
    until = time.monotonic() + 60
    try:
        for pool in POOLS:
            while True:
                try:
                    await admin.fetch('SELECT enhanced_pool.exec($1::text, $2::text)', pool, 'SELECT 1')
                    break
                except asyncpg.PostgresError as error:
                    if time.monotonic() > until:
                        run.fail(f'{pool} does not answer again: {error}')
                        break
                    await asyncio.sleep(0.1)
    finally:
        await admin.close()


async def stand_still(run):
    """Have all sessions finish what they do."""
    run.go.clear()
    until = time.monotonic() + 2 * HANG
    while any(s.busy for s in run.sessions):
        if time.monotonic() > until:
            run.fail(f'sessions do not finish: {[s.number for s in run.sessions if s.busy]}')
            return
        await asyncio.sleep(0.05)


async def begun_anew(run):
    """Wait until no session does what it began before now."""
    before = {s: s.works for s in run.sessions if s.busy}
    until = time.monotonic() + 2 * HANG
    while any(s.busy and s.works == works for s, works in before.items()) and time.monotonic() < until:
        await asyncio.sleep(0.05)


async def round_of(run, number, seconds, chaos, watcher, memory, admins):
    run.log(f'--- round {number}: {seconds:.0f} s')
    run.go.set()
    await chaos.rage(seconds)
    await answer_again(run)
    await asyncio.sleep(0.5)
    await begun_anew(run)
    run.log('--- calm')
    run.calm = True
    await asyncio.sleep(CALM)
    run.calm = False
    await stand_still(run)
    run.log('--- rest')
    await watcher.rest()
    await memory.rest()
    await run.ledger.check(admins)


async def soak(run):
    admins = {server: Admin(run, server, 'soak admin') for server in run.ports}
    run.canceller = Admin(run, 'local', 'soak canceller')
    run.ledger = writes.Ledger(run)
    watchers = {server: Admin(run, server, 'soak watcher') for server in run.ports}
    watcher = Watcher(run, watchers['local'], {server: watchers[server] for server in ('one', 'two')})
    memory = Memory(run, Admin(run, 'local', 'soak memory'))
    chaos = Chaos(run, admins['local'], {server: admins[server] for server in ('one', 'two')})
    run.sessions = [Session(run, number, KINDS, number < LONG) for number in range(SESSIONS)]

    rounds = max(2, -(-run.minutes // 5))
    tasks = watcher.start() + [asyncio.create_task(memory.watch(min(5, run.minutes)))]
    workers = [asyncio.create_task(s.live()) for s in run.sessions]
    for number in range(1, rounds + 1):
        chaos.kill_workers = number <= rounds // 2
        await round_of(run, number, run.minutes * 60 / rounds, chaos, watcher, memory, admins)
        for task in tasks + workers:
            if task.done():
                await task           # its exception ends the run
    run.over = True
    run.go.set()
    await asyncio.gather(*tasks, *workers)
    watcher.logs()
    summary(run, watcher, memory)


def summary(run, watcher, memory):
    print('\n=== Work: kinds, and how they ended')
    kinds = sorted({kind for kind, _ in run.outcomes})
    for kind in kinds:
        ends = sorted(((n, end) for (k, end), n in run.outcomes.items() if k == kind), reverse=True)
        print(f'  {kind:<18} {sum(n for n, _ in ends):>8}: ' + ', '.join(f'{end} {n}' for n, end in ends))
    print('\n=== Chaos')
    for event, n in sorted(run.events.items()):
        print(f'  {n:>6}  {event}')
    print('\n=== Checks')
    for check, n in sorted(run.checks.items()):
        print(f'  {n:>9}  {check}')
    print('  writes: ' + ', '.join(f'{n} {status}' for status, n in run.ledger.totals.items()))
    print('  connections, the most that were seen remotely and locally, and the limit: '
          + ', '.join(f'{pool} {watcher.most[pool]}, {watcher.most_local[pool]} of {limit}' for pool, (_, limit) in POOLS.items()))
    print(f'  the most that waited for a connection: {watcher.most_waiting}; the longest statement: {run.longest[0]:.1f} s, of {run.longest[1]}')
    print('\n=== Memory and descriptors')
    print('\n'.join(memory.judge(bool(os.path.isdir(f'{run.directory}/sanitizer')))))


async def main():
    directory, minutes, seed, tls_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    run = Run(directory, minutes, seed, {'local': 5431, 'one': 5433, 'two': tls_port})
    print(f'\n=== {SESSIONS} sessions, {minutes} minutes, SEED={seed}', flush=True)
    await soak(run)
    print()
    if run.failures:
        for shape, n in run.shapes.most_common():
            print(f'  {n:>6}  {shape}')
        print(f'FAILED: {len(run.failures)} times, SEED={seed}; the first: {run.failures[0]}')
        return 1
    print(f'All held, SEED={seed}.')
    return 0


if __name__ == '__main__':
    sys.exit(asyncio.run(main()))
