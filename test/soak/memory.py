"""Memory and descriptors of the workers and of the sessions that live for long."""

import asyncio
import os
import time

import asyncpg

from common import POOLS, Lost

# A process that has lived for so many seconds is judged: the memory that it has in the
# last quarter of its life against what it had in the second one, in kB.
OLD = 40
GROWTH = {'worker': 2048, 'backend': 2048}

# A worker has two sockets for each connection, and one more where it relays; a session
# keeps the socket, and something to wait on it with, of each connection that it has had
# and that there still is.  Files of tables and the like come on top.
FILES = 60
DESCRIPTORS = 3 * sum(limit for _, limit in POOLS.values()) + FILES


def anonymous_memory(pid):
    """kB of memory that is the process's alone, or None if it has gone."""
    try:
        with open(f'/proc/{pid}/status', encoding='ascii', errors='replace') as file:
            for line in file:
                if line.startswith('RssAnon:'):
                    return int(line.split()[1])
    except OSError:
        pass
    return None


def descriptors(pid, kind=''):
    n = 0
    try:
        for name in os.listdir(f'/proc/{pid}/fd'):
            try:
                n += os.readlink(f'/proc/{pid}/fd/{name}').startswith(kind)
            except OSError:
                pass
    except OSError:
        return None
    return n


class Memory:
    def __init__(self, run, admin):
        self.run, self.admin = run, admin
        self.lives = {}              # (kind, pid): [(time, kB, descriptors)]
        self.surplus = []            # sockets of the workers that belong to no connection, at each rest

    async def watch(self, pause):
        while not self.run.over:
            try:
                await self.sample()
            except (Lost, asyncpg.PostgresError):
                pass
            await asyncio.sleep(pause)

    async def sample(self):
        pids = [('worker', row[0]) for row in await self.workers()]
        pids += [('backend', s.pid) for s in self.run.sessions if s.long and s.pid]
        for kind, pid in pids:
            kb, n = anonymous_memory(pid), descriptors(pid)
            if kb is not None and n is not None:
                self.lives.setdefault((kind, pid), []).append((time.monotonic(), kb, n))

    async def workers(self):
        return await self.admin.fetch("SELECT pid FROM pg_stat_activity WHERE backend_type = 'enhanced_pool worker'")

    async def rest(self):
        """Two sockets for each connection, and one more where the worker relays: the rest
        must not become more."""
        lowest = None
        for _ in range(50):
            known = (await self.admin.insist('''SELECT (SELECT coalesce(2 * sum(size), 0) FROM enhanced_pool.pools)
                + (SELECT count(*) FROM enhanced_pool.connection_metrics WHERE transport = 'relay')'''))[0][0]
            n = sum(descriptors(row[0], 'socket:') or 0 for row in await self.workers()) - known
            lowest = n if lowest is None else min(lowest, n)
            if not self.surplus or lowest <= self.surplus[0]:
                break
            await asyncio.sleep(0.2)
        self.surplus.append(lowest)
        self.run.checks['descriptors of the workers'] += 1
        if lowest > self.surplus[0]:
            self.run.fail(f'the workers have {lowest} sockets that belong to no connection, {self.surplus[0]} at the first rest')

    def judge(self, sanitized):
        """Lines for the summary; what has grown is a failure."""
        lines = []
        for kind in ('worker', 'backend'):
            old = [(pid, samples) for (k, pid), samples in self.lives.items() if k == kind and samples[-1][0] - samples[0][0] >= OLD]
            worst = None
            for pid, samples in old:
                n = len(samples)
                early, late = samples[n // 4:n // 2], samples[3 * n // 4:]
                growth = max(s[1] for s in late) - max(s[1] for s in early)
                most = max(s[2] for s in samples)
                worst = growth if worst is None else max(worst, growth)
                self.run.checks['memory'] += 1
                if growth > GROWTH[kind] and not sanitized:
                    self.run.fail(f'{kind} {pid} has grown by {growth} kB', ' '.join(f'{s[1]}' for s in samples[::max(1, n // 40)]))
                if most > DESCRIPTORS:
                    self.run.fail(f'{kind} {pid} has {most} descriptors, more than {DESCRIPTORS}', ' '.join(f'{s[2]}' for s in samples[::max(1, n // 40)]))
            lines.append(f'  {kind}s: {sum(1 for k, _ in self.lives if k == kind)}, {len(old)} of them old enough to judge'
                         + (f'; the most that one has grown: {worst} kB (allowed: {GROWTH[kind]} kB)' if worst is not None else ''))
            for pid, samples in sorted(old, key=lambda x: x[1][0][0] - x[1][-1][0])[:4]:
                n = len(samples)
                lines.append(f'    pid {pid}, {samples[-1][0] - samples[0][0]:.0f} s: memory {samples[0][1]} kB at first, {max(s[1] for s in samples[n // 4:n // 2])} warm, '
                             f'{max(s[1] for s in samples)} most, {samples[-1][1]} at last; descriptors {samples[0][2]} at first, {max(s[2] for s in samples)} most, {samples[-1][2]} at last')
        lines.append(f'  sockets of the workers that belong to no connection, at each rest: {" ".join(map(str, self.surplus))}')
        return lines
