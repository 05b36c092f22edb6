#!/usr/bin/python3
"""Runs the programs of doc/drivers.md, as a reader would.

The blocks of one language in one section (heading of two #) are one program, in their order: a Python module, the body
of an async function of JavaScript, the body of main of a Java class.  A block after <!-- output --> is what the block
before it prints; one without prints nothing.  What stands for the reader's own is replaced, nothing else:
localhost:5432 is the local server, db2.example.com and 5432 in SQL the remote one.

Each section finds the databases as its setup makes them: the SQL of this page, and what doc/examples.md has for the
remote server.

    snippets.py LOCAL_HOST LOCAL_PORT REMOTE_HOST REMOTE_PORT [SECTION...]

Environment: PGHOST is the directory of both servers' sockets, where superuser postgres needs no password.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
PAGE = "doc/drivers.md"
MARK = "-- block of line "
TIMEOUT = 180  # seconds for one program


@dataclass
class Block:
    section: str
    language: str
    line: int
    how: str = ""
    text: str = ""
    expected: str = ""


def blocks_of(page: str) -> list[Block]:
    blocks: list[Block] = []
    section = how = ""
    block = output = None
    for number, line in enumerate((TOP / page).read_text().splitlines(), 1):
        if block is not None:
            if line != "```":
                block.text += line + "\n"
            else:
                if output:
                    blocks[-1].expected = block.text
                else:
                    blocks.append(block)
                block = output = None
                how = ""
        elif line.startswith("## "):
            section = line[3:]
        elif found := re.fullmatch(r"<!-- run: (.*) -->", line):
            how = found[1]
        elif line == "<!-- output -->":
            output = True
        elif found := re.fullmatch(r"```(\w*)", line):
            block = Block(section, found[1], number, how)
    if block is not None or output:
        sys.exit(f"{page}: a block without an end, or an output of nothing")
    return blocks


@dataclass
class Servers:
    """The two servers, and what a page's text has in their place."""

    local_host: str
    local_port: str
    remote_host: str
    remote_port: str

    def psql(self, port: str, database: str, sql: str) -> str:
        command = ["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-p", port, "-U", "postgres", "-d", database]
        done = subprocess.run(command, input=sql, capture_output=True, text=True, timeout=TIMEOUT)
        if done.returncode:
            sys.exit(f"psql failed:\n{sql}\n{done.stderr}")
        return done.stdout.strip()

    def local(self, sql: str, database: str = "postgres") -> str:
        return self.psql(self.local_port, database, sql)

    def remote(self, sql: str) -> str:
        return self.psql(self.remote_port, "postgres", sql)

    def of_reader(self, text: str) -> str:
        return text.replace("localhost:5432", f"{self.local_host}:{self.local_port}")

    def of_reader_sql(self, text: str) -> str:
        return re.sub(r"\b5432\b", self.remote_port, re.sub(r"\bdb2\.example\.com\b", self.remote_host, text))

    def set_up(self, remote: list[Block], local: list[Block]) -> None:
        self.tear_down()
        for block in remote:
            self.remote(block.text)
        self.local("CREATE ROLE app LOGIN PASSWORD 'app'")
        self.local("CREATE DATABASE shop")
        for block in local:
            self.local(self.of_reader_sql(block.text), "shop")

    def tear_down(self) -> None:
        self.local("DROP DATABASE IF EXISTS shop WITH (FORCE)")
        self.local("DROP ROLE IF EXISTS app")
        self.remote("DROP DATABASE IF EXISTS analytics WITH (FORCE)")
        self.remote("DROP ROLE IF EXISTS report")

    def leases(self) -> int:
        """Leases that are left; sessions that have just ended may need a moment."""
        end = time.monotonic() + 30
        while (left := int(self.local("SELECT count(*) FROM enhanced_pool.leases", "shop"))) and time.monotonic() < end:
            time.sleep(0.1)
        return left


def write(folder: Path, name: str, frame: str, say: str, blocks: list[Block]) -> str:
    """Writes a frame with the blocks in the place of BLOCKS, each after a statement that says its line."""
    body = "".join(f'{say % f"{MARK}{block.line}"}\n{block.text}' for block in blocks)
    (folder / name).write_text(frame.replace("BLOCKS", body))
    return str(folder / name)


def python(blocks: list[Block], folder: Path) -> list[str]:
    return ["/usr/bin/python3", write(folder, "snippets.py", "BLOCKS", 'print("%s", flush=True)', blocks)]


JAVASCRIPT = """(async () => {
BLOCKS
})().catch(e => { console.error(e); process.exit(1); });
"""


def javascript(blocks: list[Block], folder: Path) -> list[str]:
    return ["node", write(folder, "snippets.js", JAVASCRIPT, 'console.log("%s");', blocks)]


JAVA = """import java.sql.*;

public class Snippets {
public static void main(String[] args) throws Exception {
BLOCKS
}
}
"""


def java(blocks: list[Block], folder: Path) -> list[str]:
    source = write(folder, "Snippets.java", JAVA, 'System.out.println("%s");', blocks)
    # compiled in memory, by the compiler that the run-time package has
    return ["java", "-XX:TieredStopAtLevel=1", "-cp", "/usr/share/java/postgresql.jar", source]


LANGUAGES = {"python": python, "javascript": javascript, "java": java}


def plain(text: str) -> str:
    """Without blanks at the end of lines, and empty lines at the ends."""
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")


def run(language: str, blocks: list[Block], servers: Servers) -> list[str]:
    """Runs one program; returns what is wrong with it."""
    with tempfile.TemporaryDirectory() as folder:
        command = LANGUAGES[language](blocks, Path(folder))
        source = Path(command[-1])
        source.write_text(servers.of_reader(source.read_text()))
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT)
        except subprocess.TimeoutExpired as e:
            return [f"did not end within {TIMEOUT} s: {e.stdout}"]
    printed: dict[int, str] = {}
    line = 0
    for text in done.stdout.splitlines(keepends=True):
        if text.startswith(MARK):
            line = int(text[len(MARK) :])
            printed[line] = ""
        else:
            printed[line] = printed.get(line, "") + text
    wrong = []
    for block in blocks:
        if block.line not in printed:
            wrong.append(f"line {block.line}: did not run")
        elif plain(printed[block.line]) != plain(block.expected):
            got, expected = plain(printed[block.line]), plain(block.expected)
            wrong.append(f"line {block.line}: prints\n{got}\ninstead of\n{expected}")
    if done.returncode or done.stderr:
        wrong.append(f"exit status {done.returncode}, in or after line {line}:\n{done.stderr}")
    return wrong


def main() -> int:
    servers = Servers(*sys.argv[1:5])
    chosen = sys.argv[5:]
    blocks = blocks_of(PAGE)
    remote = [b for b in blocks_of("doc/examples.md") if b.language == "sql" and b.how == "remote"]
    local = [b for b in blocks if b.language == "sql"]
    programs: dict[tuple[str, str], list[Block]] = {}
    for block in blocks:
        if block.language in LANGUAGES:
            programs.setdefault((block.section, block.language), []).append(block)
        elif block.language != "sql":
            sys.exit(f"{PAGE}, line {block.line}: a block of language {block.language!r} is not run by anything")
    missing = set(LANGUAGES) - {language for _, language in programs}
    if not remote or missing:
        sys.exit(f"{PAGE}: nothing in {missing}, or no remote server in doc/examples.md")

    failed = ran = 0
    for (section, language), parts in programs.items():
        if chosen and section not in chosen:
            continue
        servers.set_up(remote, local)
        wrong = run(language, parts, servers)
        if left := servers.leases():
            wrong.append(f"{left} leases were left")
        ran += 1
        failed += bool(wrong)
        print(f"{'not ok' if wrong else 'ok'} - {section}, {language}: {len(parts)} blocks", flush=True)
        for text in wrong:
            print("#   " + text.replace("\n", "\n#   "))
    servers.tear_down()
    print(f"{ran - failed} programs passed, {failed} failed")
    return 1 if failed or not ran else 0


if __name__ == "__main__":
    sys.exit(main())
