#!/usr/bin/python3
"""Looks at the files of monitoring/ with a real exporter and a real Prometheus.

    check.py DIRECTORY LOCAL_PORT REMOTE_PORT

DIRECTORY has the data directory of the remote server as "remote", and gets logs, configurations and Prometheus' data.
Environment: PGHOST is the directory of both servers' sockets, where superuser postgres needs no password.

1. Rules and their unit tests by promtool; each alert's remedy is a heading of doc/monitoring.md; the dashboard's structure.
2. A pool under load, one that leaks, and one with known numbers.  Exporter and Prometheus as monitoring/README.md has them, with
   other paths and ports, a short scrape interval, and the times of alerts shortened in a copy of the rules.
3. Each series that queries.yaml defines is there with labels, type and a sane value.
4. Each expression and variable of the dashboard has an answer.
5. The leak's alert fires.  The remote server is stopped: the breaker's alert fires; started: it ends.
6. A pool that was dropped and made again while its connection is leased does not spoil the exporter's answer.
"""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

TOP = Path(__file__).resolve().parents[2]
FILES = TOP / "monitoring"
RULES = FILES / "enhanced_pool.rules.yml"
PAGE = TOP / "doc/monitoring.md"
PATIENCE = 60  # seconds until something that has to happen is taken not to

# Statements of the quiet pool, and what the exporter has to say of it afterwards.
QUIET = """
SELECT count(*) FROM enhanced_pool.execute('quiet', 'SELECT generate_series(1, 30)') AS t(i int);
SELECT enhanced_pool.exec('quiet', 'SELECT 1 / 0');
SELECT enhanced_pool.exec('quiet', 'SELECT no_such_column');
SELECT enhanced_pool.exec('quiet', 'CREATE TEMP TABLE t (a int)');
BEGIN;
SELECT enhanced_pool.acquire('quiet') AS lease \\gset
SELECT enhanced_pool.exec(:lease, 'BEGIN');
SELECT enhanced_pool.exec(:lease, 'SELECT pg_sleep(0.05)');
SELECT enhanced_pool.exec(:lease, 'ROLLBACK');
SELECT enhanced_pool.release(:lease);
COMMIT;
"""
QUIET_IS = {
    "connections": 1,
    "connections_active": 0,
    "connections_idle": 1,
    "connections_connecting": 0,
    "connections_overflow": 0,
    "connections_min": 1,
    "connections_max": 2,
    "connections_limit": 5,
    "waiters": 0,
    "oldest_wait_seconds": 0,
    "paused": 0,
    "recycling": 0,
    "breaker_open": 0,
    "breaker_half_open": 0,
    "load_ratio": 0,
    "leases": 0,
    "leases_leaked": 0,
    "oldest_lease_seconds": 0,
    "leases_idle_in_transaction": 0,
    "oldest_idle_in_transaction_seconds": 0,
    "connections_created_total": 1,
    "connections_closed_total": 0,
    "connection_errors_total": 0,
    "acquires_total": 5,
    "acquire_timeouts_total": 0,
    "leases_total": 5,
    "queries_total": 7,
    "query_errors_total": 2,
    "rows_total": 31,
    "transactions_total": 1,
    "transaction_rollbacks_total": 1,
    "health_check_failures_total": 0,
    "validation_failures_total": 0,
    "breaker_trips_total": 0,
    "breaker_resets_total": 0,
    "latency_query_seconds_count": 7,
    "latency_wait_seconds_count": 5,
}

# What is nothing at a moment when nothing of the kind has happened within five minutes.
MAY_BE_NAN = {"enhanced_pool_recent_wait_seconds", "enhanced_pool_recent_query_seconds"}

# Units of Grafana that the dashboard uses.
UNITS = {"none", "short", "s", "percentunit", "reqps", "ops", "rowsps", "Bps"}


class Failed(Exception):
    """What was looked at is not as it should be."""


def say(text: str) -> None:
    print(text, flush=True)


def check(condition: object, what: str) -> None:
    if not condition:
        raise Failed(what)


def wait_for(what: str, condition: Callable[[], Any]) -> Any:
    """What condition returns as soon as that is true."""
    end = time.monotonic() + PATIENCE
    while True:
        if result := condition():
            return result
        if time.monotonic() > end:
            raise Failed(f"waited in vain: {what}")
        time.sleep(0.1)


# ----------------------------------------------------------------------------- processes


class Processes:
    """What is started here, and ended by its id whatever happens."""

    def __init__(self) -> None:
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, argv: list[str], log: Path, **options: Any) -> subprocess.Popen[bytes]:
        with log.open("ab") as out:
            process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=out, stderr=out, **options)
        self.running[name] = process
        return process

    def stop(self, name: str) -> None:
        process = self.running.pop(name)
        if process.stdin:
            process.stdin.close()
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop_all(self) -> None:
        for process in self.running.values():
            process.terminate()
        for name in list(self.running):
            self.stop(name)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def http_get(url: str) -> str:
    """The answer, which may be one that says what is wrong."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}: {error.read().decode()}"
    except (urllib.error.URLError, OSError) as error:
        return f"no answer: {error}"


# ------------------------------------------------------------------------------ the files


def block_of_readme(name: str) -> str:
    """The block of monitoring/README.md after the comment of that name."""
    found = re.search(rf"<!-- {name} -->\n```\w*\n(.*?)^```$", (FILES / "README.md").read_text(), re.S | re.M)
    check(found, f"monitoring/README.md has no block {name}")
    assert found
    return found[1]


def headings(page: Path) -> set[str]:
    """The anchors of a page, as forges make them."""
    lines = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


def promtool(*args: str) -> None:
    done = subprocess.run(["promtool", *args], capture_output=True, text=True, check=False)
    check(done.returncode == 0, f"promtool {' '.join(args)}:\n{done.stdout}{done.stderr}")


def check_rules() -> list[dict[str, Any]]:
    """The rules; each has what a reader of the alert needs, and a unit test."""
    promtool("check", "rules", "--lint-fatal", str(RULES))
    tests = TOP / "test/monitoring/rules_test.yml"
    promtool("test", "rules", str(tests))
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    anchors = headings(PAGE)
    tested = {case["alertname"] for test in yaml.safe_load(tests.read_text())["tests"] for case in test.get("alert_rule_test", []) if case["exp_alerts"]}
    described = (FILES / "README.md").read_text()
    for rule in rules:
        name = rule["alert"]
        note = rule["annotations"]
        check("for" in rule and rule["labels"]["severity"] in ("critical", "warning"), f"{name}: no for, or no severity")
        check(note["summary"] and note["description"].endswith(note["runbook"]), f"{name}: the description does not end with the remedy")
        check(note["runbook"].partition("#")[2] in anchors, f"{name}: {note['runbook']} leads nowhere")
        check(name in tested, f"{name}: no unit test has it fire")
        check(re.search(rf"^\| `{name}` \| {rule['labels']['severity']} \|", described, re.M), f"{name}: monitoring/README.md does not have it")
    return rules


def defined_metrics() -> dict[str, tuple[str, set[str]]]:
    """Name, type and labels of the metrics of queries.yaml."""
    metrics = {}
    described = (FILES / "README.md").read_text()
    for prefix, block in yaml.safe_load((FILES / "queries.yaml").read_text()).items():
        check(block.get("master") is True, f"{prefix}: without master, each database that the exporter finds would be asked")
        columns = {name: column for each in block["metrics"] for name, column in each.items()}
        labels = {name for name, column in columns.items() if column["usage"] == "LABEL"}
        for name, column in columns.items():
            usage = column["usage"]
            check(usage in ("LABEL", "GAUGE", "COUNTER", "HISTOGRAM"), f"{prefix}_{name}: {usage}?")
            check(column["description"], f"{prefix}_{name} has no description")
            if usage != "LABEL":
                check((usage == "COUNTER") == name.endswith("_total"), f"{prefix}_{name}: counters, and only they, end in _total")
                metrics[f"{prefix}_{name}"] = (usage.lower(), labels)
                short = f"{prefix}_{name}".removeprefix("enhanced_pool_")
                check(short in described or f"`_{short.split('_')[-1]}`" in described, f"{short}: monitoring/README.md does not have it")
    return metrics


def panels_of(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def check_dashboard(dashboard: dict[str, Any], metrics: set[str]) -> None:
    """Its structure, and that it knows no metric that does not exist."""
    check(dashboard["schemaVersion"] >= 36 and dashboard["title"] and dashboard["uid"] and dashboard["id"] is None, "dashboard: head")
    check("__inputs" not in dashboard, "dashboard: the data source is a variable, not an input")
    variables = {v["name"]: v for v in dashboard["templating"]["list"]}
    check(variables["datasource"]["type"] == "datasource" and variables["datasource"]["query"] == "prometheus", "dashboard: datasource")
    check({"instance", "datname", "pool", "role"} <= set(variables), "dashboard: variables")
    ids = [panel["id"] for panel in dashboard["panels"]]
    check(len(ids) == len(set(ids)), "dashboard: ids are not unique")
    taken: dict[tuple[int, int], int] = {}
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        where = f"dashboard, panel {panel['id']} ({panel['title']})"
        check(panel["title"] and at["x"] >= 0 and at["w"] > 0 and at["h"] > 0 and at["x"] + at["w"] <= 24, f"{where}: place")
        for place in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
            check(place not in taken, f"{where} lies over panel {taken.get(place)}")
            taken[place] = panel["id"]
    for panel in panels_of(dashboard):
        where = f"dashboard, panel {panel['id']} ({panel['title']})"
        check(panel["type"] in ("stat", "timeseries", "heatmap", "state-timeline"), f"{where}: type {panel['type']}")
        check(panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, f"{where}: data source")
        defaults = panel["fieldConfig"]["defaults"]
        check(defaults["unit"] in UNITS, f"{where}: unit {defaults['unit']}")
        steps = defaults["thresholds"]["steps"]
        values = [step["value"] for step in steps[1:]]
        check(steps[0]["value"] is None and values == sorted(values), f"{where}: thresholds")
        references = [target["refId"] for target in panel["targets"]]
        check(references and len(references) == len(set(references)), f"{where}: targets")
        for target in panel["targets"]:
            check(target["datasource"] == panel["datasource"], f"{where}: data source of {target['refId']}")
            used = set(re.findall(r"\benhanced_pool_\w+", target["expr"]))
            check(used and used <= metrics, f"{where}: no such metrics: {used - metrics}")
            names = set(re.findall(r"\$(\w+)", target["expr"])) - {"__rate_interval", "__range"}
            check(names <= set(variables), f"{where}: no such variables: {names - set(variables)}")


# ---------------------------------------------------------------------------- the servers


class Servers:
    """The two servers, and what runs on them."""

    def __init__(self, directory: Path, local_port: str, remote_port: str, processes: Processes) -> None:
        self.directory = directory
        self.local_port = local_port
        self.remote_port = remote_port
        self.processes = processes

    def argv(self, port: str, user: str, database: str) -> list[str]:
        return ["psql", "-X", "-q", "-A", "-t", "-p", port, "-U", user, "-d", database]

    def psql(self, sql: str, user: str = "postgres", database: str = "postgres", port: str = "", stop: bool = True) -> str:
        argv = [*self.argv(port or self.local_port, user, database), "-v", f"ON_ERROR_STOP={int(stop)}", "-f", "-"]
        done = subprocess.run(argv, input=sql, capture_output=True, text=True, check=False)
        check(done.returncode == 0, f"{sql}\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def pool(self, name: str, options: str) -> str:
        return f"""
            CREATE SERVER {name} FOREIGN DATA WRAPPER enhanced_pool OPTIONS (host '{os.environ["PGHOST"]}', port '{self.remote_port}', dbname 'postgres', {options});
            CREATE USER MAPPING FOR app SERVER {name} OPTIONS (user 'report', password_required 'false');
            GRANT USAGE ON FOREIGN SERVER {name} TO app;"""

    def set_up(self) -> None:
        self.psql("CREATE ROLE report LOGIN; GRANT CREATE, TEMP ON DATABASE postgres TO report", port=self.remote_port)
        self.psql("CREATE ROLE app LOGIN; CREATE DATABASE other")
        self.psql(block_of_readme("grants"))
        self.psql("CREATE EXTENSION enhanced_pool", database="other")
        quickly = "retry_backoff '100ms', health_check_interval '500ms', circuit_breaker_threshold '3', circuit_breaker_recovery '500ms'"
        self.psql(self.pool("busy", f"initial_size '2', min_size '2', max_size '4', {quickly}"))
        self.psql(self.pool("quiet", "initial_size '1', min_size '1', max_size '2', max_overflow '3', dynamic_scaling_enabled 'off'"))
        self.psql(self.pool("leaky", "initial_size '1', min_size '1', leak_detection_threshold '500ms'"))
        self.psql(self.pool("elsewhere", "initial_size '1', min_size '1'"), database="other")

    def begin(self) -> None:
        """Load for one pool, a forgotten lease of another, and a few statements of the others."""
        script = self.directory / "load.sql"
        script.write_text(
            "SELECT sum(i) FROM enhanced_pool.execute('busy', 'SELECT i, pg_sleep(0.002) IS NULL FROM generate_series(1, 3) AS i') AS t(i int, b bool);\n"
        )
        argv = ["pgbench", "-n", "-c", "8", "-T", "600", "-p", self.local_port, "-U", "app", "-f", str(script), "postgres"]
        self.processes.start("pgbench", argv, self.directory / "pgbench.log")
        self.hold("leaky", "app", "postgres")
        self.psql(QUIET, user="app", stop=False)
        self.psql("SELECT enhanced_pool.exec('elsewhere', 'SELECT 1')", user="app", database="other")
        wait_for("all of it has begun", lambda: self.psql("""SELECT
              (SELECT query_count > 100 AND wait_count > 0 FROM enhanced_pool.pool_metrics WHERE pool = 'busy') AND
              (SELECT state = 'idle in transaction' AND held_for > '1s' FROM enhanced_pool.leases WHERE pool = 'leaky')""") == "t")

    def hold(self, pool: str, user: str, database: str) -> None:
        """A session that keeps a lease, in a remote transaction, until it is ended."""
        holder = self.processes.start(f"holder of {pool}", self.argv(self.local_port, user, database), self.directory / "holder.log")
        assert holder.stdin
        holder.stdin.write(f"""SELECT enhanced_pool.acquire('{pool}', hold => true, name => 'forgotten') AS lease \\gset
            SELECT enhanced_pool.exec(:lease, 'BEGIN');\n""".encode())
        holder.stdin.flush()

    def control_remote(self, *how: str) -> None:
        data = str(self.directory / "remote")
        subprocess.run(["pg_ctl", "-s", "-w", "-D", data, "-l", data + ".log", *how], check=True, stdin=subprocess.DEVNULL)


# ---------------------------------------------------------------- exporter and Prometheus


class Prometheus:
    def __init__(self, directory: Path, servers: Servers, processes: Processes) -> None:
        self.directory = directory
        self.processes = processes
        self.exporter_port = self.start_until_it_listens("exporter", lambda port: self.exporter(port, servers))
        self.port = self.start_until_it_listens("prometheus", self.prometheus)
        wait_for("Prometheus is ready", lambda: http_get(f"http://127.0.0.1:{self.port}/-/ready").startswith("Prometheus"))

    def start_until_it_listens(self, name: str, start: Callable[[int], subprocess.Popen[bytes]]) -> int:
        """Somebody else may take the port between the look and the start: then another one."""
        for _ in range(5):
            port = free_port()
            process = start(port)

            def known() -> bool:
                return process.poll() is not None or not http_get(f"http://127.0.0.1:{port}/metrics").startswith("no answer")

            wait_for(f"{name} listens", known)
            if process.poll() is None:
                return port
            self.processes.running.pop(name)
        raise Failed(f"{name} does not run")

    def exporter(self, port: int, servers: Servers) -> subprocess.Popen[bytes]:
        """As the README has it, with another port, socket and path."""
        settings = dict(word.split("=", 1) for word in shlex.split(block_of_readme("exporter"), comments=True))
        source = settings["DATA_SOURCE_NAME"].replace("/run/postgresql", os.environ["PGHOST"]).replace("5432", servers.local_port)
        args = settings["ARGS"].replace("127.0.0.1:9187", f"127.0.0.1:{port}").replace("/etc/prometheus/enhanced_pool.yaml", str(FILES / "queries.yaml"))
        check(str(port) in args and "queries.yaml" in args and servers.local_port in source, "monitoring/README.md has other values")
        environment = {**os.environ, "DATA_SOURCE_NAME": source}
        return self.processes.start("exporter", ["prometheus-postgres-exporter", *shlex.split(args)], self.directory / "exporter.log", env=environment)

    def prometheus(self, port: int) -> subprocess.Popen[bytes]:
        rules = yaml.safe_load(RULES.read_text())
        for rule in (rule for group in rules["groups"] for rule in group["rules"]):
            rule["for"] = "1s"
        (self.directory / "rules.yml").write_text(yaml.safe_dump(rules))
        config = yaml.safe_load(block_of_readme("prometheus"))
        config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        check(config["rule_files"] == ["/etc/prometheus/enhanced_pool.rules.yml"], "monitoring/README.md has other rules")
        config["rule_files"] = [str(self.directory / "rules.yml")]
        check(config["scrape_configs"][0]["static_configs"] == [{"targets": ["127.0.0.1:9187"]}], "monitoring/README.md has another target")
        config["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{self.exporter_port}"]}]
        path = self.directory / "prometheus.yml"
        path.write_text(yaml.safe_dump(config))
        promtool("check", "config", str(path))
        argv = [
            "prometheus",
            f"--config.file={path}",
            f"--storage.tsdb.path={self.directory / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]
        return self.processes.start("prometheus", argv, self.directory / "prometheus.log")

    def scrape(self) -> str:
        return http_get(f"http://127.0.0.1:{self.exporter_port}/metrics")

    def ask(self, path: str, **parameters: Any) -> Any:
        answer = http_get(f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters, doseq=True)}")
        check(answer.startswith("{"), f"{path} {parameters}: {answer}")
        result = json.loads(answer)
        check(result["status"] == "success" and not result.get("warnings"), f"{path} {parameters}: {answer}")
        return result["data"]

    def query(self, expr: str, **at: float) -> list[tuple[dict[str, str], float]]:
        return [(each["metric"], float(each["value"][1])) for each in self.ask("query", query=expr, **at)["result"]]

    def value(self, expr: str, **at: float) -> float:
        series = self.query(expr, **at)
        check(len(series) == 1, f"{expr}: {len(series)} series")
        return series[0][1]

    def firing(self, alert: str) -> list[dict[str, Any]]:
        return [each for each in self.ask("alerts")["alerts"] if each["labels"]["alertname"] == alert and each["state"] == "firing"]


# ----------------------------------------------------------------------------- the checks


def names_of(metric: str, kind: str) -> list[str]:
    return [metric + end for end in ("_bucket", "_sum", "_count")] if kind == "histogram" else [metric]


def check_series(prometheus: Prometheus, metrics: dict[str, tuple[str, set[str]]]) -> int:
    """Every series is there, of its type, with its labels, and a value that can be."""
    n = 0
    known = wait_for("a first scrape", lambda: (data := prometheus.ask("metadata")) and set(metrics) <= set(data) and data)
    for metric, (kind, labels) in metrics.items():
        check([each["type"] for each in known.get(metric, [])] == [kind], f"{metric}: {known.get(metric)} is not {kind}")
        for name in names_of(metric, kind):
            series = wait_for(name, lambda name=name: prometheus.query(name))
            n += len(series)
            wanted = labels | {"__name__", "server", "instance", "job"} | ({"le"} if name.endswith("_bucket") else set())
            for found, value in series:
                check(set(found) == wanted, f"{name} has labels {set(found)}, not {wanted}")
                check(value >= 0 or math.isnan(value) and metric in MAY_BE_NAN, f"{name}{found} is {value}")
            if "pool" in labels:
                pools = {(found["datname"], found["pool"], found["role"]) for found, _ in series}
                check(pools == {("postgres", "busy", "app"), ("postgres", "quiet", "app"), ("postgres", "leaky", "app"), ("other", "elsewhere", "app")}, f"{name}: of pools {pools}")
    return n


def check_histogram(prometheus: Prometheus, metric: str) -> None:
    """Cumulative, ending at the count; and its sum lies between what the bounds allow."""
    of = '{pool="busy"}'
    at = wait_for(metric, lambda: (at := time.time() - 2) and prometheus.query(f"{metric}_count{of}", time=at) and at)
    buckets = sorted((float(labels["le"]), value) for labels, value in prometheus.query(f"{metric}_bucket{of}", time=at))
    count = prometheus.value(f"{metric}_count{of}", time=at)
    total = prometheus.value(f"{metric}_sum{of}", time=at)
    counts = [value for _, value in buckets]
    check(len(buckets) == 18 and math.isclose(buckets[0][0], 0.000256) and math.isclose(buckets[-2][0], 16.777216) and math.isinf(buckets[-1][0]), f"{metric}: bounds {buckets}")
    check(counts == sorted(counts) and counts[-1] == count > 100, f"{metric}: {buckets}, count {count}")
    lowest = highest = 0.0
    below = (0.0, 0.0)
    for bound, value in buckets[:-1]:
        lowest += (value - below[1]) * below[0]
        highest += (value - below[1]) * bound
        below = (bound, value)
    check(lowest <= total * 1.01 and (total <= highest * 1.01 or count > below[1]), f"{metric}: the sum {total} is not between {lowest} and {highest}")


def check_values(prometheus: Prometheus, servers: Servers) -> None:
    """Exact values where they are known, and what must hold between others."""
    for name, value in QUIET_IS.items():
        expr = f'enhanced_pool_{name}{{pool="quiet"}}'
        if not prometheus.query(f"{expr} == {value}"):
            wait_for(f"{expr} is {value}; it is {prometheus.value(expr)}", lambda expr=expr, value=value: prometheus.query(f"{expr} == {value}"))
    at_once = {
        'enhanced_pool_latency_query_seconds_sum{pool="quiet"} > 0.05 < 5': "a statement of 50 ms",
        'enhanced_pool_lease_seconds_total{pool="quiet"} > 0.05 < 5': "and its lease",
        'enhanced_pool_sent_bytes_total{pool="quiet"} > 100 < 10000': "bytes sent",
        'enhanced_pool_received_bytes_total{pool="quiet"} > 300 < 10000': "bytes received",
        'enhanced_pool_resets_total{pool="quiet"} >= 1': "resets",
        'enhanced_pool_recent_query_seconds{pool="quiet", quantile="0.99"} > 0.04 < 5': "the slowest of few statements",
        'enhanced_pool_recent_query_seconds{pool="busy", quantile="0.5"} >= 0.006 < 1': "statements of 6 ms",
        'enhanced_pool_recent_wait_seconds{pool="busy", quantile="0.5"} > 0 < 5': "waits for busy connections",
        'enhanced_pool_waits_total{pool="busy"} > 0': "waits",
        'enhanced_pool_leases{pool="leaky"} == 1': "a forgotten lease",
        'enhanced_pool_leases_leaked{pool="leaky"} == 1': "which is a leak",
        'enhanced_pool_oldest_lease_seconds{pool="leaky"} > 1': "an old one",
        'enhanced_pool_leases_idle_in_transaction{pool="leaky"} == 1': "in a transaction",
        'enhanced_pool_oldest_idle_in_transaction_seconds{pool="leaky"} > 0.5': "that is idle",
        'enhanced_pool_connections{pool="busy"} >= 2 <= 4': "connections of the busy pool",
        'enhanced_pool_load_1m_ratio{pool="leaky"} > 0 <= 1': "a load",
        'abs(time() - enhanced_pool_stats_reset_timestamp_seconds{pool="busy"} - enhanced_pool_uptime_seconds{pool="busy"}) < 5': "uptime, and since when it is counted",
        "enhanced_pool_server_workers == enhanced_pool_server_workers_configured": "workers",
        "enhanced_pool_server_connections == scalar(sum(enhanced_pool_connections))": "connections of all",
        "enhanced_pool_server_connections_limit == 256": "max_connections",
        "enhanced_pool_server_pools == 4": "pools",
        "enhanced_pool_server_pools_limit == 256": "max_pools",
        "pg_exporter_user_queries_load_error == 0": "the exporter read queries.yaml",
        "pg_exporter_last_scrape_error == 0": "and had no error",
    }
    for expr, what in at_once.items():
        wait_for(f"{what}: {expr}", lambda expr=expr: prometheus.query(expr))
    before = int(servers.psql("SELECT query_count FROM enhanced_pool.pool_metrics WHERE pool = 'busy'"))
    found = wait_for("counters go on", lambda: prometheus.query(f'enhanced_pool_queries_total{{pool="busy"}} > {before}'))[0][1]
    after = int(servers.psql("SELECT query_count FROM enhanced_pool.pool_metrics WHERE pool = 'busy'"))
    check(before < found <= after, f"queries_total {found} is not between {before} and {after}")


def as_grafana_does(expr: str) -> str:
    """With the variables' values in it: all of everything."""
    for name, value in (("__rate_interval", "10s"), ("__range", "1m")):
        expr = expr.replace(f"${name}", value)
    return re.sub(r"\$\{?\w+\}?", ".*", expr)


def check_answers(prometheus: Prometheus, dashboard: dict[str, Any]) -> int:
    """Every expression and variable of the dashboard has one."""
    n = 0
    for panel in panels_of(dashboard):
        for target in panel["targets"]:
            expr = as_grafana_does(target["expr"])
            check("$" not in expr, expr)
            found = wait_for(f"{panel['title']}: {expr}", lambda expr=expr: prometheus.ask("query_range", query=expr, start=time.time() - 10, end=time.time(), step=1)["result"])
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                check(all(label in each["metric"] for each in found), f"{panel['title']}: series without {label}")
            n += 1
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            parts = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
            check(parts and variable["definition"] == variable["query"]["query"], f"variable {variable['name']}")
            assert parts
            values = prometheus.ask(f"label/{parts[2]}/values", **{"match[]": as_grafana_does(parts[1])})
            check(values, f"variable {variable['name']} has no values")
    return n


def check_alerts(prometheus: Prometheus, servers: Servers, rules: list[dict[str, Any]], dashboard: dict[str, Any]) -> None:
    """All rules are evaluated without error, and two fire: a leak, and the breaker of a remote server that is stopped."""
    loaded = {rule["name"]: rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]}
    check(set(loaded) == {rule["alert"] for rule in rules}, f"Prometheus has rules {set(loaded)}")
    for name in loaded:
        wait_for(f"rule {name} is evaluated", lambda name=name: [r for g in prometheus.ask("rules")["groups"] for r in g["rules"] if r["name"] == name and r["health"] == "ok"])
    leak = wait_for("the alert of the leak fires", lambda: prometheus.firing("EnhancedPoolLeak"))
    check([each["labels"]["pool"] for each in leak] == ["leaky"], f"{leak}")
    check(not prometheus.firing("EnhancedPoolBreakerOpen") and not prometheus.firing("EnhancedPoolWorkerDown"), "alerts fire for nothing")
    wait_for("no alert of missing metrics", lambda: not prometheus.firing("EnhancedPoolMetricsMissing"))

    began = time.monotonic()
    servers.control_remote("-m", "immediate", "stop")
    fired = wait_for("the alert of the breaker fires", lambda: [each for each in prometheus.firing("EnhancedPoolBreakerOpen") if each["labels"]["pool"] == "busy"])
    say(f"  EnhancedPoolBreakerOpen fires {time.monotonic() - began:.1f} s after the remote server was stopped")
    check(fired[0]["labels"]["severity"] == "critical" and fired[0]["labels"]["datname"] == "postgres" and fired[0]["labels"]["role"] == "app", f"{fired}")
    check("busy" in fired[0]["annotations"]["summary"] and "#the-breaker-is-open" in fired[0]["annotations"]["description"], f"{fired}")
    for annotation in dashboard["annotations"]["list"]:
        if "expr" in annotation:
            wait_for("the dashboard marks it", lambda expr=annotation["expr"]: prometheus.query(expr))
    wait_for("failed connects are counted", lambda: prometheus.query('enhanced_pool_connection_errors_total{pool="busy"} >= 3 and enhanced_pool_breaker_trips_total >= 1'))

    servers.control_remote("start")
    wait_for("the alert ends", lambda: not [each for each in prometheus.firing("EnhancedPoolBreakerOpen") if each["labels"]["pool"] == "busy"])
    check(prometheus.value('enhanced_pool_breaker_open{pool="busy"} + enhanced_pool_breaker_half_open{pool="busy"}') == 0, "the breaker is closed")


def check_twice(prometheus: Prometheus, servers: Servers) -> None:
    """Two pools of one name: one that was dropped and is still leased, and its successor."""
    servers.psql(servers.pool("twice", "initial_size '1', max_size '7'"))
    servers.hold("twice", "app", "postgres")
    wait_for("it is leased", lambda: servers.psql("SELECT count(*) FROM enhanced_pool.leases WHERE pool = 'twice'") == "1")
    servers.psql("DROP SERVER twice CASCADE;" + servers.pool("twice", "initial_size '1', max_size '3'"))
    servers.psql("SELECT enhanced_pool.exec('twice', 'SELECT 1')", user="app")
    check(servers.psql("SELECT count(*) FROM enhanced_pool.pool_metrics WHERE pool = 'twice'") == "2", "there are two of them")
    lines = prometheus.scrape().splitlines()
    sizes = [line.split()[-1] for line in lines if line.startswith("enhanced_pool_connections_max{") and 'pool="twice"' in line]
    check(sizes == ["3"], f"the younger one's max_size is told, not {sizes}: {lines[:3]}")
    histogram = [line for line in lines if line.startswith("enhanced_pool_latency_query_seconds_count{") and 'pool="twice"' in line]
    check(len(histogram) == 1, f"{histogram}")


def run(directory: Path, local_port: str, remote_port: str, processes: Processes) -> None:
    rules = check_rules()
    metrics = defined_metrics()
    names = {name for metric, (kind, _) in metrics.items() for name in names_of(metric, kind)}
    for rule in rules:
        used = set(re.findall(r"\benhanced_pool_\w+", rule["expr"]))
        check(used and used <= names, f"{rule['alert']}: no such metrics: {used - names}")
    dashboard = json.loads((FILES / "grafana-dashboard.json").read_text())
    check_dashboard(dashboard, names)
    say(f"ok: {len(rules)} rules and their tests, structure of {len(dashboard['panels'])} panels")

    servers = Servers(directory, local_port, remote_port, processes)
    servers.set_up()
    servers.begin()
    prometheus = Prometheus(directory, servers, processes)
    say(f"ok: {check_series(prometheus, metrics)} series of {len(metrics)} metrics")
    check_values(prometheus, servers)
    for metric, (kind, _) in metrics.items():
        if kind == "histogram":
            check_histogram(prometheus, metric)
    say("ok: values")
    say(f"ok: {check_answers(prometheus, dashboard)} expressions of the dashboard, and its variables")
    check_alerts(prometheus, servers, rules, dashboard)
    say("ok: alerts")
    check_twice(prometheus, servers)
    say("ok: a pool that was made again")


def main() -> int:
    directory, local_port, remote_port = sys.argv[1:]
    processes = Processes()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        run(Path(directory), local_port, remote_port, processes)
    except Failed as failure:
        say(f"not ok: {failure}")
        return 1
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        processes.stop_all()
    return 0


if __name__ == "__main__":
    sys.exit(main())
