# Thin: what each target does is in scripts/. `make` lists the targets.
.DEFAULT_GOAL := help
.PHONY: help build demo test e2e e2e-netavark e2e-deb soak lint tidy deny pages bench bench-quick bench-busy bench-scale bench-attack bench-overlay bench-cut-through \
  bench-docker bench-build bench-cni bench-micro loom fuzz asan doc api install uninstall deb deps clean

PREFIX ?= /usr/local
TARGET := $(or $(CARGO_TARGET_DIR),target)
# Under CI the lock file is law.
LOCKED := $(if $(CI),--locked)
# Measuring needs namespaces and TAPs. BENCH='--rounds 3 --only tcp1' passes options on.
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo)
BENCH ?=
# With whom the long families are compared, unless BENCH says it.
BUSY_WITH := docker0,kernel-bridge,host,vswitch
SCALE_WITH := kernel-bridge,vswitch
ATTACK_WITH := docker0,kernel-bridge,vswitch
OVERLAY_WITH := kernel-bridge,vswitch
CUT_THROUGH_WITH := docker0,kernel-bridge,vswitch,vswitch-cut-through
DOCKER_WITH := docker0,docker-vswitch
DOCKER_ROWS := distance,tcp1,tcp4,rtt-tcp,rtt-udp,udp64,udp1400,connect,http,redis1,redis50,outside,docker-run,docker-run-dns

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the release binary
	@scripts/deps.sh build
	cargo build --release $(LOCKED) -p vswitch-cli

demo: build ## bring up a switch with containers in a private namespace and show what it does
	@scripts/deps.sh demo
	VSWITCH_BIN=$(TARGET)/release/vswitch scripts/demo.sh

test: ## run every test; those with namespaces need root (or sudo)
	@scripts/deps.sh build test
	scripts/test.sh $(LOCKED)

e2e: ## run the end-to-end tests only
	@scripts/deps.sh build test
	scripts/test.sh $(LOCKED) -p vswitch-cli --test e2e

e2e-netavark: ## the tests of the netavark plugin by a real netavark, which is built first: about a minute
	@scripts/deps.sh build test netavark
	VSWITCH_NETAVARK=$(abspath $(TARGET))/netavark/bin/netavark \
	scripts/test.sh $(LOCKED) -p vswitch-cli --test e2e netavark::

e2e-deb: deb ## install the package in a system with systemd, run it, purge it
	VSWITCH_DEB=$$(realpath $(TARGET)/debian/vswitch_*.deb) \
	scripts/test.sh $(LOCKED) -p vswitch-cli --test e2e packaging::

soak: ## what takes minutes: a hundred containers of Compose, 200,000 connections, twice, hanging registries; needs root (or sudo)
	@scripts/deps.sh build test
	SOAK_CONTAINERS=100 scripts/test.sh $(LOCKED) -p vswitch-cli --test e2e docker::compose
	SOAK_CONNECTIONS=10000 scripts/test.sh $(LOCKED) -p vswitch-cli --test e2e shared_ports
	SOAK_CUT_THROUGH=200000 scripts/test.sh $(LOCKED) -p vswitch-cli --test e2e cut_through::torture::a_soak -- --nocapture
	SOAK_FREEZE_SECONDS=60 SOAK_ENTRIES=100000 scripts/test.sh $(LOCKED) -p vswitch-registry --test contract
	SOAK_NODES=1000 scripts/test.sh $(LOCKED) -p vswitch-benches --test overlay -- --nocapture

lint: ## format, clippy, documentation, shell scripts, house rules, licences and sources of crates
	@scripts/deps.sh build lint
	cargo fmt --all --check
	cargo clippy $(LOCKED) --workspace --all-targets -- -D warnings
	cargo check $(LOCKED) --quiet -p vswitch --no-default-features
	RUSTDOCFLAGS="-D warnings" cargo doc $(LOCKED) --workspace --no-deps --quiet
	shellcheck scripts/*.sh packaging/debian/* .ci/run
	@$(if $(CI),: "make test" runs them,$(MAKE) --no-print-directory tidy)
	for manifest in Cargo.toml fuzz/Cargo.toml; do \
	cargo deny $(LOCKED) --manifest-path $$manifest --log-level error check bans licenses sources || exit 1; done

tidy: ## check the house rules over the tree
	cargo test $(LOCKED) --quiet -p vswitch-testkit --test tidy

deny: ## licences, sources, and the advisories of RustSec (from the network)
	@scripts/deps.sh lint
	cargo deny check

pages: ## make the tables of docs/performance again from docs/measured
	@scripts/deps.sh build
	cargo run --quiet $(LOCKED) -p vswitch-benches --bin vswitch-bench -- pages docs

bench: bench-build ## measure against docker0 and other switches: five rounds, below 40 minutes; needs root (or sudo)
	$(SUDO) $(TARGET)/release/vswitch-bench $(BENCH)

bench-quick: bench-build ## the main rows once, below three minutes, only to look at
	$(SUDO) $(TARGET)/release/vswitch-bench --quick $(BENCH)

bench-busy: bench-build ## loads beside one process that wants a CPU, and beside as many as CPUs: about 24 minutes
	$(SUDO) $(TARGET)/release/vswitch-bench --only busy1,busy2 $(if $(findstring --contenders,$(BENCH)),,--contenders $(BUSY_WITH)) $(BENCH)

bench-scale: bench-build ## a pair among 2, 10, 100 and 1,000 ports beside a pair alone: about 13 minutes
	$(SUDO) $(TARGET)/release/vswitch-bench --only scale $(if $(findstring --contenders,$(BENCH)),,--contenders $(SCALE_WITH)) $(BENCH)

bench-attack: bench-build ## a pair while a third container attacks, beside the same pair in peace: about 13 minutes
	$(SUDO) $(TARGET)/release/vswitch-bench --only attack $(if $(findstring --contenders,$(BENCH)),,--contenders $(ATTACK_WITH)) $(BENCH)

bench-overlay: bench-build ## containers of two hosts over VXLAN, beside the kernel's: about 6 minutes
	$(SUDO) $(TARGET)/release/vswitch-bench --only overlay $(if $(findstring --contenders,$(BENCH)),,--contenders $(OVERLAY_WITH)) $(BENCH)

bench-cut-through: bench-build ## local TCP with and without cut-through, idle and beside one process that wants a CPU: about 19 minutes
	$(SUDO) $(TARGET)/release/vswitch-bench --only cut-through $(if $(findstring --contenders,$(BENCH)),,--contenders $(CUT_THROUGH_WITH)) $(BENCH)

bench-docker: bench-build ## real containers of Docker, on docker0 and on a network of this switch: about 25 minutes
	$(SUDO) $(TARGET)/release/vswitch-bench --contenders $(DOCKER_WITH) $(if $(findstring --only,$(BENCH)),,--only $(DOCKER_ROWS)) $(BENCH)

bench-cni: build ## ADD and DEL of the CNI plugin beside Debian's bridge and portmap: a minute and a half
	@scripts/deps.sh bench
	$(SUDO) scripts/bench-cni.py $(TARGET)/release 40

bench-build: build
	@scripts/deps.sh bench
	cargo build --release $(LOCKED) -p vswitch-benches --bin vswitch-bench

bench-micro: ## in-memory benchmarks (criterion)
	@scripts/deps.sh build
	cargo bench $(LOCKED) -p vswitch-benches

loom: ## check the lock-free ring under every interleaving
	@scripts/deps.sh build
	scripts/loom.sh

fuzz: ## every fuzz target for a minute (FUZZ_SECONDS=60)
	@scripts/deps.sh build fuzz
	scripts/fuzz.sh

api: ## write the schemas of docs/openapi.json anew, from the types
	UPDATE_OPENAPI=1 cargo test $(LOCKED) --quiet -p vswitch-api --lib openapi

asan: ## the tests of the crates with unsafe code, under AddressSanitizer; needs root (or sudo)
	@scripts/deps.sh build test
	scripts/asan.sh $(LOCKED)

doc: ## build the API documentation
	cargo doc $(LOCKED) --workspace --no-deps

install: build ## install programs, plugins, man pages, completions and the unit under PREFIX (/usr/local), below DESTDIR
	scripts/install.sh install $(TARGET)/release $(PREFIX) $(DESTDIR)

uninstall: ## remove them
	scripts/install.sh uninstall $(PREFIX) $(DESTDIR)

deb: build ## make a Debian package, in target/debian
	@scripts/deps.sh deb
	rm -rf $(TARGET)/release/deb-root $(TARGET)/debian
	scripts/install.sh install $(TARGET)/release /usr $(TARGET)/release/deb-root
	cargo deb --no-build $(LOCKED) -p vswitch-cli

deps: ## install what every target needs
	scripts/deps.sh build lint test demo bench fuzz

clean: ## delete what was built
	cargo clean
