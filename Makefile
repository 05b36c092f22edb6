# enhanced_pool: make && make install && make installcheck, with PG_CONFIG=...
# for a server other than the one whose pg_config comes first in PATH.
# `make help` lists the other targets.

EXTENSION = enhanced_pool
MODULE_big = enhanced_pool
PGFILEDESC = "enhanced_pool - pools of connections to remote servers"

# The control file is the one place that says the version.
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" enhanced_pool.control)

DATA = $(wildcard sql/enhanced_pool--*.sql)
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))

PG_CONFIG ?= pg_config
includedir_server_path := $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)

PG_CPPFLAGS = -I$(srcdir)/src -I$(libpq_srcdir) -DEP_VERSION='"$(EXTVERSION)"'
# Minor releases differ in whether they have this check, so ask the header.
ifneq ($(shell grep -l libpqsrv_check_proxy_conninfo_opts $(includedir_server_path)/libpq/libpq-be-fe-helpers.h 2>/dev/null),)
PG_CPPFLAGS += -DEP_HAVE_PROXY_CONNINFO_CHECK
endif
SHLIB_LINK_INTERNAL = $(libpq)
# Calls within the library, and what it takes of its own data, need no detour over
# tables, which makes a fifth of the cache lines that a call touches unnecessary.
SHLIB_LINK = -lcares -lssl -lcrypto -Wl,-Bsymbolic

# `make WERROR=` builds with a compiler whose new warnings we have not met yet.
WERROR ?= -Werror
PG_CFLAGS = -std=gnu99 -fno-plt -Wall -Wextra -Wno-unused-parameter $(WERROR) -MMD -MP

# The compiler writes each object's headers into a .d file beside it; PGXS's own
# tracking keeps one file per base name, and ours occur in several folders.
override autodepend = no
# No bitcode: it needs clang, and nothing here is worth inlining into a query.
override with_llvm = no

# Tests: SQL and specs in test/, expected output in expected/.  The first ones
# make what the others use, "leaks" looks at what they left.
in_order = $(filter $(1),$(3)) $(filter-out $(1) $(2),$(3)) $(filter $(2),$(3))
REGRESS = $(call in_order,setup,leaks,$(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql))))
REGRESS_OPTS = --inputdir=test
ISOLATION = $(call in_order,isolation_setup,isolation_leaks,$(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec))))
ISOLATION_OPTS = --inputdir=test --outputdir=. --load-extension=enhanced_pool
TAP_TESTS = 1
PROVE_TESTS = test/t/*.pl

EXTRA_CLEAN = $(OBJS:.o=.d) $(DASHBOARD) test/unit/build test/simulation/build test/fuzz/build

# The page of dashboard(), as C strings.
DASHBOARD = src/dashboard/page.inc
DASHBOARD_SCRIPT = src/dashboard/text.js src/dashboard/charts.js src/dashboard/page.js

PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifneq ($(wildcard $(PGXS)),)
include $(PGXS)

PROVE_FLAGS += -I test/lib

unit:
	@$(MAKE) --no-print-directory -C test/unit PG_CONFIG='$(PG_CONFIG)' check

# The decisions in virtual time: make simulate ARGS='burst --seed 7 --verbose'.
simulate:
	@$(MAKE) --no-print-directory -C test/simulation PG_CONFIG='$(PG_CONFIG)' ARGS='$(ARGS)' run

# What must come out of that.
simulation:
	@$(MAKE) --no-print-directory -C test/simulation PG_CONFIG='$(PG_CONFIG)' check

# The corpus of test/fuzz, and a bounded number of new inputs.
fuzz-corpus:
	@$(MAKE) --no-print-directory -C test/fuzz PG_CONFIG='$(PG_CONFIG)' check

# pgTAP tests, in the server the environment points at.
pgtap: check-preload
	@PATH='$(bindir)':"$$PATH" test/harness/pgtap

# TAP tests alone; they start the servers they need.
tap:
	$(prove_installcheck)
else
# demo and test install what is missing; the rest needs it here.
all install installcheck unit simulate simulation fuzz-corpus pgtap tap:
	@echo "$@ needs the server headers of PostgreSQL 15 or later: install them, or set PG_CONFIG" >&2
	@exit 1
endif

-include $(OBJS:.o=.d)

# A different pg_config or version means different objects.
$(OBJS): Makefile enhanced_pool.control

src/functions/dashboard.o: $(DASHBOARD)
$(DASHBOARD): src/dashboard/page.html src/dashboard/style.css $(DASHBOARD_SCRIPT) src/dashboard/embed.awk
	{ echo '/* made by the Makefile from the other files of this folder */' && \
	  awk -v name=page_html -f src/dashboard/embed.awk src/dashboard/page.html && \
	  awk -v name=page_style -f src/dashboard/embed.awk src/dashboard/style.css && \
	  awk -v name=page_script -f src/dashboard/embed.awk $(DASHBOARD_SCRIPT); } >$@.new && mv $@.new $@

# pg_regress runs in the server the environment points at, which must have the
# library preloaded: say so before forty tests fail for that one reason.
installcheck: check-preload
.PHONY: check-preload
check-preload:
	@PATH='$(bindir)':"$$PATH" test/harness/check-preload

.PHONY: demo test soak fuzz unit simulate simulation fuzz-corpus pgtap tap bench format check-versions check-assert check-sanitize check-upgrade check-patroni check-clients check-sqlalchemy check-drivers check-monitoring check-dashboard check-version check-sources lint coverage dist help
demo:
	@test/harness/demo

test:
	@test/harness/test

# What a hostile remote may send, by libFuzzer: make fuzz MINUTES=10, or RUNS=1000000.
fuzz:
	@test/harness/fuzz minutes=$(MINUTES) runs=$(RUNS) seed=$(SEED) $(TARGETS)

# Sessions with mixed work while servers, workers and connections are killed, stopped
# and altered; see test/soak/soak.py.
soak:
	@test/harness/soak '$(or $(MINUTES),2)' '$(SEED)'

bench:
	@bench/run

# The whole suite against 15, 17 and 18, against a server with assertions, and
# there with AddressSanitizer and UndefinedBehaviorSanitizer in the extension.
check-versions:
	@test/harness/versions

check-assert:
	@test/harness/versions --assert

check-sanitize:
	@test/harness/versions --sanitize

# pg_upgrade of a cluster with pools from 15 to 17; not a part of test.
check-upgrade:
	@test/harness/upgrade

# Writers through a pool while Patroni changes the primary; not a part of test.
check-patroni:
	@test/harness/patroni

# What applications do through their drivers: the example with SQLAlchemy, and the
# programs of doc/drivers.md.  check-clients is both, with one build.
check-clients:
	@test/harness/clients

check-sqlalchemy check-drivers:
	@test/harness/clients $(@:check-%=%)

# The files of monitoring/ with a real exporter and Prometheus; not a part of test.
check-monitoring:
	@test/harness/monitoring

# The page of dashboard() in Chromium; ARGS='MINUTES DIRECTORY' for pictures of it.
check-dashboard:
	@test/harness/dashboard $(ARGS)

check-version check-sources:
	@test/harness/check-sources

# Static analysis of src/: cppcheck, clang-tidy, gcc -fanalyzer; shellcheck of scripts.
lint:
	@test/harness/lint

# Which lines of src/ the suites reach; ARGS=--missing: those that the last run did not.
coverage:
	@test/harness/coverage $(ARGS)

format:
	@test/harness/format

dist: check-sources
	git archive --format zip --prefix=enhanced_pool-$(EXTVERSION)/ -o enhanced_pool-$(EXTVERSION).zip HEAD

help:
	@echo 'make                 build against PG_CONFIG (default: pg_config)'
	@echo 'make install         install it there'
	@echo 'make installcheck    test the running, preloaded server (PGHOST, PGPORT, ...)'
	@echo 'make demo            two throw-away servers, real data, what the pool does'
	@echo 'make test            every suite on throw-away servers'
	@echo '     ... TLS=1       demo and test with every remote connection over TLS'
	@echo 'make soak MINUTES=n  a hundred sessions under random faults for n minutes (1 to 1440; default 2)'
	@echo '     ... SEED=n      the same order of events again'
	@echo 'make unit            the parts that need no server'
	@echo 'make simulate        the decisions in virtual time: connections, waits and scalings as tables'
	@echo "     ... ARGS='burst --seed 7 --verbose'   one trace, or a file; --help lists them"
	@echo 'make simulation      the assertions of that'
	@echo 'make fuzz            what a remote may send, by libFuzzer: a minute for each target'
	@echo "     ... MINUTES=10, RUNS=1000000, SEED=1, TARGETS='wire talk'"
	@echo 'make check-versions  every suite on PostgreSQL 15, 17 and 18'
	@echo 'make check-assert    every suite on a server with assertions'
	@echo 'make check-sanitize  the same with address and undefined behaviour sanitizers'
	@echo 'make check-upgrade   pg_upgrade of a cluster with pools from PostgreSQL 15 to 17'
	@echo 'make check-patroni   writers through a switchover and a failover by Patroni'
	@echo 'make check-clients   applications: the next two together'
	@echo 'make check-sqlalchemy   examples/sqlalchemy, with asyncpg'
	@echo 'make check-drivers   the programs of doc/drivers.md: psycopg, asyncpg, JDBC, node-postgres'
	@echo "make check-monitoring   monitoring/ with Debian's exporter and Prometheus: series, alerts, dashboard"
	@echo 'make check-dashboard the page of dashboard() in Chromium'
	@echo "     ... ARGS='4 doc'    after four minutes of load, and pictures of it"
	@echo 'make check-sources   versions agree, PG_VERSION_NUM only in compat.h'
	@echo 'make lint            static analysis: cppcheck, clang-tidy, gcc -fanalyzer; shellcheck of scripts'
	@echo 'make coverage        lines of src/ that the suites reach; not a part of CI, for its time'
	@echo '     ... ARGS=--missing  lines that the last such run did not reach'
	@echo 'make bench           peers side by side'
	@echo 'make format          lay the code out as pgindent does'
