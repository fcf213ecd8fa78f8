# ironlb: what a person types. The work is in scripts/; this file says what belongs to what.
#
#   make demo     see it run: a real Kubernetes cluster on this machine, ironlb installed by Helm, a failover measured
#   make test     see it proved
#   make help     everything else

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.NOTPARALLEL:

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ironlb

# Where a target that this Makefile starts finds what the prerequisites have installed.
export PATH := $(CACHE)/go/bin:$(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH):/usr/local/sbin:/usr/sbin:/sbin
export CARGO_TERM_PROGRESS_WHEN ?= auto
# `make demo KEEP=1` leaves the site up.
export KEEP

PART := scripts/part.sh

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- what everything stands on ---------------------------------------------------------------------------------------

.PHONY: prerequisites prerequisites-build prerequisites-image prerequisites-lab prerequisites-fuzz
prerequisites: prerequisites-build prerequisites-image prerequisites-lab ## install what is missing: Debian packages, Rust, Go; says nothing when all is there
prerequisites-build:
	@scripts/prerequisites.sh build
prerequisites-image:
	@scripts/prerequisites.sh image
prerequisites-lab:
	@scripts/prerequisites.sh lab
prerequisites-fuzz:
	@scripts/prerequisites.sh fuzz

# --- check: nothing here needs root or a network -----------------------------------------------------------------------

.PHONY: check fmt clippy purity tidy docs crds-diff chart
check: prerequisites-build fmt clippy purity tidy docs crds-diff chart ## format, lints, arrows and purity, docs, generated files, chart

fmt:
	@$(PART) 'format' cargo fmt --all --check

clippy:
	@$(PART) 'clippy' cargo clippy --quiet --workspace --all-targets --locked -- -D warnings

purity:
	@$(PART) 'arrows and purity' scripts/purity.py
	@$(PART) 'arrows and purity: what must be refused' scripts/purity.py --fixtures tests/fixtures/purity

tidy:
	@$(PART) 'tidy' scripts/tidy.py

docs:
	@RUSTDOCFLAGS='-D warnings' $(PART) 'docs' cargo doc --quiet --workspace --no-deps --document-private-items --locked

# The CRDs in crds/ are written by `make crds`; here they only have to be the same.
crds-diff:
	@$(PART) 'CRDs are as generated' scripts/crds.sh --check

chart:
	@$(PART) 'chart' scripts/chart.sh

.PHONY: crds
crds: prerequisites-build ## write crds/*.yaml from the types in crates/api
	@scripts/crds.sh

# --- test ---------------------------------------------------------------------------------------------------------------

.PHONY: test test-unit test-chart test-with-networks test-lab test-interop test-e2e
test: prerequisites test-unit test-chart test-with-networks test-e2e ## everything below the lab, then every scenario in the lab

# Some of them ask a real API server, which is the lab's.
test-unit: prerequisites-build lab-bin ## the tests below the lab
	@$(PART) 'image writer' python3 scripts/test_oci_image.py
	@$(PART) 'unit, property and doc tests' scripts/tests_abreast.py --workspace --exclude ironlb-lab --exclude ironlb-interop --exclude ironlb-e2e

# As in `check`, where a machine may have no Helm yet.
test-chart: lab-bin
	@$(PART) 'chart, with Helm' scripts/with-lab.sh scripts/chart.sh --required

# Not side by side: some measure time, and a machine that builds sites meanwhile holds it up for longer than BFD waits.
test-with-networks: lab-bin lab-images
	@$(MAKE) --no-print-directory run-lab
	@$(MAKE) --no-print-directory run-interop

test-lab: lab-bin lab-images run-lab

test-interop: prerequisites-lab run-interop ## BGP and BFD with FRR, BIRD, GoBGP and OpenBGPD alone, without a cluster

# With all that they need in place.
.PHONY: run-lab run-interop
run-lab:
	@$(PART) 'the lab itself' scripts/with-lab.sh scripts/cargo-test.sh --package ironlb-lab

run-interop:
	@$(PART) 'BGP and BFD with other routers' scripts/cargo-test.sh --package ironlb-interop

test-e2e: lab-bin lab-images ## the scenarios alone; ONLY=text runs those whose name holds it
	@$(PART) 'scenarios in the lab' scripts/with-lab.sh scripts/cargo-test.sh --package ironlb-e2e $(if $(ONLY),--test e2e -- $(ONLY))

.PHONY: lab-bin lab-images
lab-bin: prerequisites-lab ## build the lab's Kubernetes, containerd and Helm (once per version)
	@$(PART) 'Kubernetes for the lab' tests/controlplane/build.sh

lab-images: prerequisites-build prerequisites-image ## the images the lab runs, quick to rebuild
	@$(PART) 'images for the lab' scripts/images.sh lab image/lab ironlb backend pause

.PHONY: fuzz
fuzz: prerequisites-fuzz ## hostile bytes and inputs for BGP, BFD and ARP, led by coverage; FUZZ_SECONDS=60 for each target
	@$(PART) 'fuzz targets' scripts/fuzz.sh $(or $(FUZZ_SECONDS),60)

# How often the lab, the other routers and the scenarios are gone through; 3 take about 5 hours on two cores.
RUNS ?= 3

.PHONY: soak
soak: prerequisites lab-bin lab-images ## many runs, large numbers, long simulation, fuzz: hours; RUNS=1 is shorter
	@$(MAKE) fuzz FUZZ_SECONDS=600
	@IRONLB_SOAK=1 PROPTEST_CASES=20000 $(PART) 'property tests, searches and simulations, many cases' \
	    scripts/cargo-test.sh --profile lab --workspace --exclude ironlb-lab --exclude ironlb-interop --exclude ironlb-e2e
	@for run in $$(seq $(RUNS)); do \
	    IRONLB_SOAK=1 $(PART) "the lab itself, run $$run" scripts/with-lab.sh scripts/cargo-test.sh --package ironlb-lab; \
	    IRONLB_SOAK=1 $(PART) "BGP and BFD with other routers, run $$run" scripts/cargo-test.sh --package ironlb-interop; \
	    IRONLB_SOAK=1 $(PART) "scenarios in the lab, large, run $$run" scripts/with-lab.sh scripts/cargo-test.sh --package ironlb-e2e; \
	done

# --- see it run -----------------------------------------------------------------------------------------------------------

.PHONY: demo demo-down
demo: prerequisites lab-bin lab-images ## a site on this machine, step by step; KEEP=1 leaves it up
	@$(PART) 'the demo itself' cargo build --locked --package ironlb-e2e --bin demo
	@scripts/with-lab.sh cargo run --quiet --locked --package ironlb-e2e --bin demo

demo-down: prerequisites-build ## take down a site that `make demo KEEP=1` left up
	@scripts/with-lab.sh cargo run --quiet --locked --package ironlb-e2e --bin demo -- down

# --- measure, ship ----------------------------------------------------------------------------------------------------------

.PHONY: bench image deny
bench: prerequisites ## the numbers that the project promises
	@$(PART) 'benchmarks' scripts/bench.sh

image: prerequisites-build prerequisites-image ## image/ironlb.tar, the image that is shipped: one static binary
	@$(PART) 'image' scripts/images.sh release image ironlb

deny: prerequisites-build ## licences, bans and sources of every dependency
	@$(PART) 'dependencies' scripts/deny.sh
