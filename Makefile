# Every habit is one target; `make help` lists them. The work is done by meson and by the programs in tools/.
#
# Build folders: build (plain), build-asan, build-tsan, build-fuzz, build-previous, build-mistake. NO_INSTALL=1 never installs a package.

PREFIX ?= /usr/local
DESTDIR ?=
TIME ?= 60
PYTHON = /usr/bin/python3
PACKAGES = tools/install-packages

MAKEFLAGS += --no-print-directory
export NO_INSTALL

.PHONY: help build demo demo-sites demo-db test check unit integration crash chaos chaos-db sim test-upgrade differential format check-format lint tidy tidy-deep asan tsan fuzz bench \
	bench-failover bench-health bench-arc bench-db bench-start bench-dns soak docs install clean

build: ## build build/leewardd and build/leeward
	@$(PACKAGES) build
	@tools/build plain

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## show a region failing over; KEEP=1 leaves it running
	@$(PACKAGES) demo
	@KEEP=$(KEEP) tools/demo

demo-sites: build ## show three sites, one killed, moving a service by routing controls; KEEP=1 leaves it running
	@$(PACKAGES) demo
	@KEEP=$(KEEP) tools/demo-sites

demo-db: build ## show a global database moving between regions, one of them killed, while a client writes; KEEP=1 leaves it running
	@$(PACKAGES) demo
	@KEEP=$(KEEP) tools/demo-db

test: ## every test: unit, sim, corpus, integration, sanitizers, lint; ends with "N passed, N failed"
	@$(PACKAGES) build test lint
	@$(PYTHON) tools/run-tests all

check: ## what a developer runs before each commit: format, lint, unit, sim, corpus
	@$(PACKAGES) build lint test
	@$(PYTHON) tools/run-tests check

unit: build ## the unit, sim and corpus tests alone
	@meson test -C build --no-rebuild --print-errorlogs

integration: build ## the integration tests alone; ONLY=expression selects some (pytest -k)
	@$(PACKAGES) test
	@$(PYTHON) tools/run-tests integration $(if $(ONLY),--only '$(ONLY)')

crash: build ## kill -9 the daemon LEEWARD_ROUNDS times (500) while clients write; LEEWARD_SEED repeats a run
	@$(PACKAGES) test
	@LEEWARD_ROUNDS=$(or $(LEEWARD_ROUNDS),500) $(PYTHON) -m pytest -q -s -p no:cacheprovider \
		test/integration/test_crash.py -k survive

chaos: build ## ROUNDS rounds (200) of faults by lot on five sites while clients flip routing controls; SEED repeats them, ROUND one alone
	@$(PACKAGES) test
	@LEEWARD_ROUNDS=$(or $(ROUNDS),200) LEEWARD_ROUND=$(ROUND) \
		LEEWARD_SEED=$(or $(SEED),$(strip $(shell od -An -N4 -tu4 /dev/urandom))) \
		$(PYTHON) -m pytest -q -s -rs -p no:cacheprovider test/integration/test_site_chaos.py

chaos-db: build ## ROUNDS rounds (200) of faults by lot on a global database while clients write; SEED repeats them, ROUND=3,17 some alone; MISTAKE must be found
	@$(PACKAGES) test
	@$(if $(MISTAKE),LEEWARD_BUILD=$$(tools/build-mistake $(MISTAKE)) && export LEEWARD_BUILD &&) \
		LEEWARD_MISTAKE=$(MISTAKE) LEEWARD_ROUNDS=$(or $(ROUNDS),200) LEEWARD_ROUND=$(ROUND) \
		LEEWARD_SEED=$(or $(SEED),$(strip $(shell od -An -N4 -tu4 /dev/urandom))) \
		$(PYTHON) -m pytest -q -s -rs -p no:cacheprovider test/integration/test_database_chaos.py

sim: build ## SEEDS seeds (3,000) of the simulator of databases, 10,000 steps each before faults end; FIRST repeats a run, SEED one seed with its story
	@seed=$(or $(FIRST),$(strip $(shell od -An -N4 -tu4 /dev/urandom))); echo "FIRST=$$seed"; \
		LEEWARD_FIRST=$$seed LEEWARD_SEEDS=$(or $(SEEDS),3000) LEEWARD_STEPS=$(or $(STEPS),10000) \
		LEEWARD_SEED=$(or $(SEED),0) build/src/database/core/database_core_sim_test

test-upgrade: build ## sites of the previous version (test/upgrade/previous) and of this one together, upgraded and set back
	@$(PACKAGES) test
	@LEEWARD_PREVIOUS=$$(tools/build-previous | tail -n 1) && export LEEWARD_PREVIOUS && \
		$(PYTHON) -m pytest -q -p no:cacheprovider test/integration/test_upgrade.py

differential: build ## the same COUNT questions (100,000) to Leeward, Knot and NSD; LEEWARD_SEED repeats a run
	@$(PACKAGES) test
	@LEEWARD_QUESTIONS=$(or $(COUNT),100000) $(PYTHON) -m pytest -q -s -p no:cacheprovider \
		test/integration/test_dns_differential.py

format: ## rewrite the sources in the one format
	@$(PACKAGES) lint
	@tools/format

check-format: ## say which sources are not in the one format
	@$(PACKAGES) lint
	@tools/format --check

lint: build ## check the room graph, headers, documents: seconds
	@tools/lint-rooms
	@tools/docs --check

tidy: build ## clang-tidy over every source that changed since it was last clean
	@$(PACKAGES) lint
	@tools/tidy

tidy-deep: build ## the same over every path that the analyser can follow: twice as long
	@$(PACKAGES) lint
	@tools/tidy --deep

asan: ## unit, sim, corpus and the marked integration tests under the address and undefined-behaviour sanitizers
	@$(PACKAGES) build test
	@$(PYTHON) tools/run-tests asan

tsan: ## under the thread sanitizer: unit tests that can have threads, and the marked integration tests
	@$(PACKAGES) build test
	@$(PYTHON) tools/run-tests tsan

fuzz: ## run each fuzzer for TIME seconds; ONLY=name picks one
	@$(PACKAGES) build fuzz
	@tools/fuzz $(TIME) $(ONLY)

bench: bench-failover bench-health bench-arc bench-db bench-start bench-dns ## every benchmark, each beside its peer

bench-failover: build ## from the death of an endpoint to the changed answer, gdnsd beside it
	@$(PACKAGES) bench
	@bench/failover

bench-health: build ## thousands of health checks on one event loop
	@$(PACKAGES) bench
	@bench/health

bench-arc: build ## routing controls on 1, 3 and 5 etcd members beside the bare transaction
	@$(PACKAGES) bench
	@bench/arc

bench-db: build ## databases move to another region: Leeward beside a hand-made optimum, Patroni, pg_auto_failover; ONLY="switchover killed dark"
	@$(PACKAGES) bench
	@bench/db $(ONLY)

bench-start: build ## how soon a daemon serves DNS that starts while etcd is down, with 1,000 and 100,000 records
	@$(PACKAGES) bench
	@bench/start

bench-dns: build ## answers a second, instructions, memory, flips beside gdnsd, Knot and NSD; ONLY="speed load" selects sections
	@$(PACKAGES) bench
	@bench/dns $(ONLY)

soak: build ## memory over 10,000,000 queries and 100,000 flips
	@$(PACKAGES) bench
	@bench/dns soak

docs: build ## write the pages made from tables, and check every path and name in the documents
	@tools/docs
	@tools/lint-rooms docs

install: build ## install below PREFIX (default /usr/local), itself below DESTDIR
	@meson configure build -Dprefix="$(PREFIX)"
	@DESTDIR="$(abspath $(DESTDIR))" meson install -C build --quiet

clean: ## remove the build folders
	rm -rf build build-asan build-tsan build-fuzz build-previous build-mistake
