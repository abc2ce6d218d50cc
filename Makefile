# make demo             set up, then show the proxy at work in a lab of network namespaces
# make test             set up, then run all that a change must pass: make test-host, the image built
#                       meanwhile, then make test-image; half an hour
# make test-host        set up, then lint and run every test that needs no image, and the fuzzer
# make test-trixie      make test-host on Debian 13, with DPDK 24.11, in a root of its own: 400 MB of
#                       packages at first, then half an hour
# make deb              set up, then build the package for this release of Debian, below build/deb
# make test-deb         set up, build it, and install, run, upgrade and remove it on a host of its own
#                       in the lab, a container with systemd: 3 minutes after as many to build
# make bench            set up, then measure an attack, open connections and turnover: 2 minutes
# make bench-full       the same with all cases, ten million connections among them, and all of the
#                       following: an hour
# make bench-services   set up, then measure SYN -> SYN-ACK with ten to 100,000 services
# make bench-bulk       set up, then measure bulk data and request latency beside the kernel's bridge
# make bench-workers    set up, then measure what a second worker adds and what hand-over costs
# make bench-stages     set up, then build for it apart, and measure the cycles of each stage
# make instructions     set up, then count each stage's instructions and compare with the kept file
# make compare          set up, then the reference's gaps, as a table: direct, kernel SYNPROXY, ours
# make bench-peers      set up, then SYNs answered on one veth: kernel's SYNPROXY, XDP before it, ours
# make vectors          set up, then the tests of bytes, segments and workers with each width of vectors
# make killed           set up, then kill the daemon 500 times by each driver, amid traffic: an hour
# make holds            set up, then hold a thread of the daemon 50 times amid traffic: ten minutes
# make refused          set up, then refuse link, buffers, disk and descriptors to it, 100 times each
# make connections      set up, then open, use and close 100,000 connections through the proxy
# make first-byte       set up, then measure the time to first byte beside a direct connection
# make changing-server  set up, then measure throughput while a server's options change
# make updates          set up, then change services 10,000 times under a flood, beside a real client
# make many-services    set up, then find each of 100,000 services by its packets, and time it
# make disturbance      set up, then measure the workers' rate while the management side is ill-treated
# make fuzz             set up, build floors 1 and 2 for libFuzzer with sanitizers, and try 30 million
#                       inputs: 2 minutes
# make fuzz-long        the same with a thousand million, and 5,000 requests to each method
# make sanitize         set up, and run the tests of bytes and segments in the same build, under the
#                       sanitizers for addresses and undefined behaviour
# make attack           set up, then attack in every way at 0.8 of what is taken, beside 200 clients,
#                       by each driver: 3 minutes
# make attack-long      the same for a quarter of an hour each
# make soak             set up, then that attack by turns with ill-treated management, and look at
#                       buffers, descriptors and memory before and after: 2 minutes
# make soak-long        the same for two hours
# make soak-management  set up, then ill-treat the management alone, and measure how fast the daemon's
#                       memory grows: 20 minutes
# make race             set up, build with ThreadSanitizer, and run the workers' tests under it: what
#                       threads share is in order, but for docs/shared-words.md's plain words
# make faults           set up, then try 30 combinations of faults on the wire, some minutes long
# make model-long       set up, then the model's ten million steps, on two cores: ten minutes
# make forged-long      set up, then a thousand million forged ACKs, ten million frames of each class
# make soak-virtual     set up, then sixty days in virtual time, twice: a minute
# make full-table       set up, then a table of four million connections, filled ten times over
# make arm64            set up, then build for arm64 too, and run the tests of bytes and segments
#                       there, emulated: a quarter of an hour; 150 MB of packages at first
# make image            build the image of docker/Dockerfile, by podman or Docker
# make test-image       set up, build it, and run its container in the lab: 4 minutes after as many
#                       to build
# make test-compose     set up, build it, and bring docker/compose.yaml up in the lab, but for Grafana
# make reference        set up, then write proto/README.md out of the schema
# make browser          set up, then have Chromium load pages through the proxy, and the status page
# make picture          set up, then renew the README's picture of the status page
#
# Debian 12 or newer, as root.  Set-up is remembered under build/; run again, it takes a second.

SHELL := /bin/bash -eo pipefail
PYTHON := /usr/bin/python3
VENV := .venv
BIN := $(VENV)/bin
# The build and the linters call tools of the environment by name.
export PATH := $(CURDIR)/$(BIN):$(PATH)

# What the product is built from and runs on, then what the lab and the tests drive it with.
PACKAGES := gcc libc6-dev pkg-config python3 python3-dev python3-venv libdpdk-dev dpdk-dev \
            dpkg-dev iproute2 ethtool util-linux nftables iptables netbase curl iputils-ping \
            nginx-light wrk iperf3 openssl openssh-client libwrap0 redis-tools systemd tshark zsh \
            fish spin valgrind
# Of Debian 13's sshd.
PACKAGES += $(shell . /etc/os-release; [[ $$VERSION_ID == 12 ]] || echo libwtmpdb0)

# All but what is written out of them: README.md by `make compare`, proto/README.md.
SOURCES := $(shell find appliance cython_core docker proto -type f ! -path '*/__pycache__/*' \
               ! -name '*.md') \
           meson.build meson.options pyproject.toml LICENSE

.PHONY: setup demo test test-host test-trixie lint unit deb test-deb image test-compose test-image bench \
        bench-bulk bench-full bench-peers bench-services bench-stages bench-workers instructions compare \
        connections killed holds refused first-byte changing-server updates many-services disturbance \
        attack attack-long soak soak-long soak-management faults fuzz fuzz-long race sanitize model-long forged-long \
        soak-virtual full-table vectors arm64 reference browser picture chromium clean
.DELETE_ON_ERROR:

setup: build/installed $(BIN)/sshd $(BIN)/promtool build/node/node_modules

build/packages: Makefile
	@mkdir -p build
	@if ! dpkg -s $(PACKAGES) >/dev/null 2>&1; then \
	    apt-get update -q && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $(PACKAGES); \
	fi
	@touch $@

$(BIN)/pytest: build/packages pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --upgrade 'pip>=25.1'
	$(BIN)/pip install -q --group build --group test
	@touch $@

# One program of a package, the first of these that Debian has, with its parts: installed, some would
# start a service on this machine.
$(BIN)/sshd: packages := openssh-server
$(BIN)/sshd: program := usr/sbin/sshd
$(BIN)/sshd: parts := usr/lib/openssh/sshd-*
$(BIN)/promtool: packages := promtool prometheus
$(BIN)/promtool: program := usr/bin/promtool
$(BIN)/sshd $(BIN)/promtool: build/packages | $(BIN)/pytest
	@rm -rf build/$(@F) && mkdir -p build/$(@F)
	cd build/$(@F) && \
	    fetch() { for package in $(packages); do \
	        apt-cache show $$package >/dev/null 2>&1 && apt-get download -q $$package && return; \
	    done; false; } && \
	    { fetch || { apt-get update -q && fetch; } } && dpkg-deb --extract *.deb .
	@cd build/$(@F) && cp $$(compgen -G '$(parts)') $(program) $(CURDIR)/$(BIN)

# What the Node client is made of, as its lock file has it.
build/node/node_modules: tests/clients/node/package.json tests/clients/node/package-lock.json \
                         | $(BIN)/pytest
	@mkdir -p build/node && cp $^ build/node
	$(BIN)/npm ci --prefix build/node --ignore-scripts --no-audit --no-fund --loglevel error
	@touch $@

# An incremental build in build/host, installed with its two commands.
build/installed: $(BIN)/pytest $(SOURCES)
	$(BIN)/pip install -q --no-build-isolation -Cbuild-dir=build/host .
	@touch $@

demo: setup
	@$(BIN)/python -P -m appliance.lab.demo

# The fuzzer goes on beside the others, with what they leave of the machine.  Packages come before:
# two that install at once would be in each other's way.
test-host: setup build/fuzz-packages chromium
	@tests/beside.sh build/fuzz.log '$(MAKE) fuzz' $(MAKE) lint unit

# Where one of them fails the other runs all the same; what became of both stands last.
test: setup build/fuzz-packages build/podman-packages chromium
	@code=0; \
	tests/beside.sh build/image.log '$(MAKE) image' \
	    bash -o pipefail -c '$(MAKE) test-host 2>&1 | tee build/test.log' || code=$$?; \
	$(MAKE) test-image || code=$$?; \
	grep -E '^(FAILED|ERROR) |^=+ .* in [0-9.]+s' build/test.log || tail -n 20 build/test.log; \
	exit $$code

# A root that a crash has left half made is none.
TRIXIE := $(CURDIR)/build/trixie
TRIXIE_COMMAND := make test-host

test-trixie: | $(TRIXIE)
	unshare --mount --propagation private tests/trixie.sh $(TRIXIE) $(TRIXIE_COMMAND)

$(TRIXIE):
	@dpkg -s debootstrap >/dev/null 2>&1 || { apt-get update -q && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends debootstrap; }
	@rm -rf $@.new && mkdir -p build
	unshare --mount --propagation private \
	    debootstrap --variant=minbase --include=ca-certificates,make trixie $@.new
	@mv $@.new $@

lint: setup
	$(BIN)/ruff check .
	$(BIN)/cython-lint cython_core appliance
	$(BIN)/mypy
	$(BIN)/buf lint proto

# What carries the lab's packets pins the cores, and has namespaces and names to itself.  All else
# shares two, a file at a time to each, for the sake of the file's fixtures.
ALONE := tests/dpdk tests/system

# Where tests of the first part fail the second runs all the same; what became of both stands last.
unit: setup chromium
	@code=0; \
	$(BIN)/pytest -n 2 --dist loadfile $(ALONE:%=--ignore=%) | tee build/sharing.log || code=$$?; \
	test $$code -le 1; \
	$(BIN)/pytest $(ALONE) || code=$$?; \
	tail -n 1 build/sharing.log; \
	exit $$code

# What a test asks for no vectors of its own in gets them by the environment.
vectors: setup
	for vector in $$($(BIN)/python -P -c \
	        'from cython_core.dataplane import VECTORS; print(*VECTORS)'); do \
	    PROXY_VECTOR=$$vector $(BIN)/pytest -n 2 --dist loadfile tests/wire tests/proxy tests/model \
	        && PROXY_VECTOR=$$vector $(BIN)/pytest tests/dpdk || exit 1; \
	done

deb: setup build/deb/built

build/deb/built: build/installed examples/synproxy.yaml
	docker/debian/build.sh $(@D)
	@touch $@

bench: setup
	@$(BIN)/python tests/bench/rates.py --family 4 --seconds 0.5
	@$(BIN)/python tests/bench/established.py --open 64k --seconds 0.5
	@$(BIN)/python tests/bench/turnover.py --seconds 0.5

bench-full: setup
	@$(BIN)/python tests/bench/rates.py
	@$(BIN)/python tests/bench/established.py --open 1k,64k,1M,4M,10M
	@$(BIN)/python tests/bench/established.py --open 64k,4M --family 6 \
	    --json bench-results/established6.json
	@$(BIN)/python tests/bench/established.py --open 4M --fill 0.25,0.5,0.75,0.9,0.95 \
	    --json bench-results/fill.json
	@$(BIN)/python tests/bench/turnover.py
	@$(BIN)/python tests/bench/turnover.py --family 6 --json bench-results/turnover6.json
	@$(MAKE) --no-print-directory bench-services bench-workers bench-stages bench-peers bench-bulk
	@$(BIN)/python tests/bench/peers.py --settings --json bench-results/peers_settings.json

bench-services: setup
	@$(BIN)/python tests/bench/services.py
	@$(BIN)/python tests/bench/services.py --family 6 --json bench-results/services6.json

bench-peers: setup build/fuzz-packages
	@$(BIN)/python tests/bench/peers.py

bench-bulk: setup
	@$(BIN)/python tests/bench/bulk.py
	@$(BIN)/python tests/bench/latency.py
	@$(BIN)/python tests/bench/latency.py --driver AF_PACKET \
	    --json bench-results/latency_af_packet.json

bench-workers: setup
	@$(BIN)/python tests/bench/workers.py
	@$(BIN)/python tests/bench/workers.py --family 6 --json bench-results/workers6.json

# Found before the installed one.
PROFILE := $(CURDIR)/build/profile/installed

bench-stages: setup
	@$(BIN)/pip install -q --no-build-isolation --no-deps --upgrade --target $(PROFILE) \
	    -Cbuild-dir=build/profile/build -Csetup-args=-Dprofile=true .
	@PYTHONPATH=$(PROFILE) $(BIN)/python tests/bench/stages.py

instructions: setup
	@$(BIN)/python tests/bench/instructions.py

# libFuzzer comes with clang.  The gate's inputs are the same each time; the long run's are new ones.
FUZZ := build/fuzz
FUZZ_EXECUTIONS := 3e7
FUZZ_SEED := 1

fuzz: $(FUZZ)/built
	@$(BIN)/python tests/fuzz/run.py --build $(FUZZ) --executions $(FUZZ_EXECUTIONS) \
	    --seed $(FUZZ_SEED)

fuzz-long:
	@$(MAKE) --no-print-directory fuzz FUZZ_EXECUTIONS=1e9 FUZZ_SEED=$$(date +%s)
	FUZZ_EXAMPLES=5000 $(BIN)/pytest -n 2 --timeout 0 tests/appliance/test_rpc_fuzz.py

build/fuzz-packages: packages := clang libclang-rt-dev

$(FUZZ)/built: build/fuzz-packages build/installed tests/fuzz/fuzzer.pyx tests/fuzz/meson.build \
               tests/fuzz/functions.txt
	@test -f $(FUZZ)/build.ninja || \
	    CC=clang $(BIN)/meson setup $(FUZZ) -Dbuildtype=debugoptimized -Dfuzzing=true >/dev/null
	$(BIN)/meson compile -C $(FUZZ)
	@$(BIN)/meson install -C $(FUZZ) --no-rebuild --quiet --destdir $(CURDIR)/$(FUZZ)/installed
	@touch $@

# The same build, found before the installed one.  Python frees nothing at its end.  Crowds are of
# floor 3's doors, which that build hasn't.
SANITIZED := $(CURDIR)/$(FUZZ)/installed/usr/local/lib/python3/dist-packages

sanitize: $(FUZZ)/built
	LD_PRELOAD=$$(clang -print-file-name=libclang_rt.asan-$$(uname -m).so) \
	    PYTHONPATH=$(SANITIZED) PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 \
	    UBSAN_OPTIONS=print_stacktrace=1 $(BIN)/python -P -m pytest -q -p no:cacheprovider \
	    tests/wire tests/proxy tests/fuzz --ignore tests/proxy/test_crowd.py \
	    --ignore tests/proxy/test_full_table.py

# ThreadSanitizer's: all of the extension, and what it takes of DPDK in line.  Its runtime wants
# addresses where they are without ASLR, and its symboliser's complaints are about mapped memory.
RACE := build/race
RACE_TESTS := tests/dpdk

race: $(RACE)/built
	PYTHONPATH=$(CURDIR)/$(RACE)/installed/usr/local/lib/python3/dist-packages:$$($(BIN)/python -c \
	    'import sysconfig; print(sysconfig.get_path("purelib"))') \
	    TSAN_OPTIONS="suppressions=$(CURDIR)/tests/race/plain.txt \
	    external_symbolizer_path=$(CURDIR)/$(RACE)/llvm-symbolizer history_size=4" \
	    setarch -R $(RACE)/python -P -m pytest -q -p no:cacheprovider --timeout 600 $(RACE_TESTS)

$(RACE)/built: build/fuzz-packages build/installed tests/race/python.c
	@test -f $(RACE)/build.ninja || \
	    CC=clang $(BIN)/meson setup $(RACE) -Drace=true >/dev/null
	$(BIN)/meson compile -C $(RACE)
	@$(BIN)/meson install -C $(RACE) --no-rebuild --quiet --destdir $(CURDIR)/$(RACE)/installed
	@$(PYTHON)-config --embed --cflags --ldflags | xargs \
	    clang -fsanitize=thread -rdynamic tests/race/python.c -o $(RACE)/python
	@printf '#!/bin/sh\nexec %s "$$@" 2>/dev/null\n' $$(clang -print-prog-name=llvm-symbolizer) \
	    > $(RACE)/llvm-symbolizer && chmod +x $(RACE)/llvm-symbolizer
	@touch $@

killed: setup
	LAB_KILLS=500 LAB_SKIPS=fail $(BIN)/pytest --timeout 3600 tests/system/test_killed.py -k killed_at

holds: setup
	LAB_HOLDS=50 LAB_SKIPS=fail $(BIN)/pytest --timeout 1800 tests/system/test_held.py

refused: setup
	LAB_REFUSALS=100 LAB_SKIPS=fail $(BIN)/pytest --timeout 1800 tests/dpdk/test_refused.py \
	    tests/system/test_refused.py

connections: setup
	LAB_CONNECTIONS=100000 LAB_SKIPS=fail $(BIN)/pytest tests/system/test_turnover.py

# Two runs of half as many, each by examples of its own.
model-long: setup
	for seed in 1 2; do \
	    MODEL_STEPS=5000000 MODEL_SEED=$$seed $(BIN)/pytest tests/model/test_model.py & \
	    runs+=" $$!"; \
	done; code=0; for run in $$runs; do wait $$run || code=$$?; done; exit $$code

forged-long: setup
	FORGED_ACKS=1000000000 FORGED_FRAMES=10000000 $(BIN)/pytest tests/proxy/test_forgery.py

soak-virtual: setup
	SOAK_DAYS=60 $(BIN)/pytest -n 2 tests/model/test_virtual_time.py

full-table: setup
	TABLE_ROOM=4194304 TABLE_FILLS=10 $(BIN)/pytest tests/proxy/test_full_table.py

# arm64's packages are unpacked in a folder of its own: dpkg and apt of this machine know nothing of
# them.  The modules take the name that Python has for them there.
ARM64 := $(CURDIR)/build/arm64
ARM64_APT := apt-get -q -o APT::Architecture=arm64 -o APT::Architectures::=arm64 \
             -o APT::Sandbox::User=root -o Dir::State=$(ARM64)/apt/state \
             -o Dir::State::status=/dev/null -o Dir::Cache=$(ARM64)/apt/cache
ARM64_MODULES := $(ARM64)/installed/usr/local/lib/python3/dist-packages
ARM64_PYTHON := env PYTHONDONTWRITEBYTECODE=1 \
                PYTHONPATH=$(ARM64_MODULES):$(ARM64)/site:$(CURDIR)/tests \
                $(ARM64)/emulator/usr/bin/qemu-aarch64-static -L $(ARM64)/root \
                $(ARM64)/root/usr/bin/python3.11 -P

arm64: setup $(ARM64)/root $(ARM64)/emulator $(ARM64)/site
	@rm -rf $(ARM64)/installed
	@test -d $(ARM64)/build || \
	    $(BIN)/meson setup $(ARM64)/build --cross-file tests/arm64/cross.ini >/dev/null
	$(BIN)/meson compile -C $(ARM64)/build
	@$(BIN)/meson install -C $(ARM64)/build --no-rebuild --quiet --destdir $(ARM64)/installed
	@for module in $$(find $(ARM64_MODULES) -name '*.so'); do \
	    mv $$module $${module%%.*}.so; done
	@here=$$(PYTHONPATH=tests $(BIN)/python -P -m proxy.recorded | sort -u); \
	    there=$$($(ARM64_PYTHON) -m proxy.recorded); \
	    echo "SHA-256 of what comes out, here: $$here"; \
	    echo "                   and on arm64: $$there"; \
	    test "$$here" = "$$there"
	# The emulator has no ptrace(2).
	$(ARM64_PYTHON) -m pytest -q -p no:cacheprovider tests/wire tests/proxy \
	    --ignore tests/proxy/test_killed.py

$(ARM64)/root: Makefile
	@rm -rf $@ && mkdir -p $(ARM64)/apt/state/lists/partial $(ARM64)/apt/cache/archives/partial
	@dpkg -s gcc-aarch64-linux-gnu >/dev/null 2>&1 || { apt-get update -q && \
	    DEBIAN_FRONTEND=noninteractive \
	    apt-get install -qy --no-install-recommends gcc-aarch64-linux-gnu; }
	$(ARM64_APT) update
	$(ARM64_APT) install -y --download-only --no-install-recommends \
	    libdpdk-dev libpython3-dev python3
	@mkdir $@.new && for package in $(ARM64)/apt/cache/archives/*.deb; do \
	    dpkg-deb --extract $$package $@.new; done && mv $@.new $@

# Installed, it would have the kernel run every arm64 program of this machine by it.
$(ARM64)/emulator: | build/packages
	@rm -rf $@.new && mkdir -p $@.new && cd $@.new && apt-get update -q && \
	    apt-get download -q qemu-user-static && dpkg-deb --extract *.deb . && mv $@.new $@

$(ARM64)/site: pyproject.toml | $(BIN)/pytest
	@rm -rf $@
	$(BIN)/pip install -q --target $@ --python-version 3.11 --only-binary=:all: \
	    --platform manylinux_2_28_aarch64 --platform manylinux_2_17_aarch64 \
	    hypothesis pytest pytest-timeout scapy

# podman, or docker where its daemon runs.
ENGINE := podman
IMAGE := localhost/synproxy-appliance
IMAGE_BASE := docker.io/library/debian:trixie-slim

image: build/$(ENGINE)-packages
	docker/image.sh $(ENGINE) $(IMAGE) $(IMAGE_BASE)

test-image: setup image
	LAB_ENGINE=$(ENGINE) LAB_IMAGE=$(IMAGE) LAB_BASE=$(IMAGE_BASE) $(BIN)/pytest tests/image

# Prometheus's image, where no registry is at hand.
PROMETHEUS_IMAGE := localhost/synproxy-prometheus

test-compose: ENGINE := podman
test-compose: setup image
	docker/image.sh podman $(PROMETHEUS_IMAGE) $(IMAGE_BASE) tests/compose/Dockerfile tests/compose
	LAB_PROMETHEUS=$(PROMETHEUS_IMAGE) $(BIN)/pytest tests/compose

# A host of this release.
HOST_IMAGE := localhost/synproxy-host
HOST_BASE := docker.io/library/debian:$(shell . /etc/os-release; echo $$VERSION_CODENAME)-slim

test-deb: deb build/podman-packages
	docker/image.sh podman $(HOST_IMAGE) $(HOST_BASE) tests/deb/Dockerfile build/deb
	LAB_ENGINE=podman LAB_IMAGE=$(HOST_IMAGE) $(BIN)/pytest tests/deb

build/podman-packages: packages := podman runc debootstrap
build/docker-packages: packages := debootstrap
build/podman-packages build/docker-packages build/fuzz-packages: Makefile
	@mkdir -p build
	@dpkg -s $(packages) >/dev/null 2>&1 || { apt-get update -q && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $(packages); }
	@touch $@

# Written whole or not at all.
reference: setup
	$(BIN)/python -P -m appliance.cli.reference > build/reference.md
	@mv build/reference.md proto/README.md

browser: setup chromium
	LAB_SKIPS=fail $(BIN)/pytest tests/system/test_protocols.py tests/system/test_status_page.py \
	    -k 'Chromium or test_status_page'

picture: setup chromium
	LAB_SKIPS=fail LAB_PICTURE=docs/status-page.png \
	    $(BIN)/pytest tests/system/test_status_page.py -k flood

# 300 MB, so for tests alone.
chromium:
	@dpkg -s chromium-headless-shell >/dev/null 2>&1 || { apt-get update -q && \
	    DEBIAN_FRONTEND=noninteractive \
	    apt-get install -qy --no-install-recommends chromium-headless-shell; }

first-byte: setup
	@$(BIN)/python -P tests/bench/first_byte.py

changing-server: setup
	@$(BIN)/python tests/bench/changing_server.py

updates: setup
	$(BIN)/python -P tests/bench/updates.py

many-services: setup
	@$(BIN)/python tests/bench/many_services.py

disturbance: setup
	@$(BIN)/python tests/bench/disturbance.py

ATTACK_S := 60
SOAK_S := 90

attack: setup
	@for driver in AF_XDP AF_PACKET; do \
	    $(BIN)/python tests/bench/attack.py --driver $$driver --seconds $(ATTACK_S) \
	        --json bench-results/attack_$$driver.json || exit 1; \
	done

attack-long:
	@$(MAKE) --no-print-directory attack ATTACK_S=900

soak: setup
	@$(BIN)/python tests/bench/soak.py --seconds $(SOAK_S)

soak-long:
	@$(MAKE) --no-print-directory soak SOAK_S=7200

soak-management: setup
	@$(BIN)/python tests/bench/soak_management.py

faults: setup
	@$(BIN)/python -P tests/bench/faults.py

compare: setup
	@$(BIN)/python -P -m appliance.lab.compare --write README.md

clean:
	rm -rf build $(VENV) bench-results
