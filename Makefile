# Everything is plain go; these are the words for what is run often. `make help` lists them.

GO ?= go
# Tests behind the build tag integration: their files, packages and names. The others in these packages are those of make test.
INTEGRATION_FILES = $(shell grep -rlE '^//go:build .*integration' --include='*_test.go' --exclude-dir=sql .)
INTEGRATION = $(sort $(dir $(INTEGRATION_FILES)))
INTEGRATION_TESTS = $(shell grep -hoE '^func Test[A-Za-z0-9_]*' $(INTEGRATION_FILES) | cut -c6- | sort -u | paste -sd'|')

# Tests of what the hot path allocates: the race detector makes pools forget, so they are left out of its build.
ALLOC_FILES = $(shell grep -rlE '^//go:build .*!race' --include='*_test.go' --exclude-dir=bench --exclude-dir=tools .)
ALLOC_TESTS = $(shell grep -hoE '^func Test[A-Za-z0-9_]*' $(ALLOC_FILES) | cut -c6- | sort -u | paste -sd'|')

# Which integration tests to run; and how long each package of any tests may take, which decides nothing on a machine that is merely busy.
RUN ?= ^($(INTEGRATION_TESTS))$$
TIMEOUT ?= 30m
# Packages at a time in the tests that need Go only: these wait for timers more than they compute. Those that take longest begin first.
ATONCE ?= 4
LONGEST = ./processors ./internal/cli . ./internal/kafka ./internal/gateway ./state
# Packages of integration tests at a time, and then scenarios of ./integration/, each on a cluster of its own; on a cluster that is given they would
# meet. Two need 2 cores and 8 GB: nearly all of them wait, most of the time.
LANES ?= 1

.DEFAULT_GOAL := help
.PHONY: help build test race plain integration scenarios packages postgresql kafka bench vet lint cross licences api vulnerabilities fmt

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## bin/weir
	$(GO) build -o bin/weir ./cmd/weir

test: ## all tests that need Go only: race and plain, side by side
	@$(MAKE) --no-print-directory -j 2 race plain

race: ## the tests with the race detector, and each benchmark once
	$(GO) test -race -p $(ATONCE) -timeout $(TIMEOUT) -bench . -benchtime 1x $(LONGEST) ./...
	$(GO) -C bench test -race ./...

plain: ## the tests without it: all seeds of the simulation; that it finds each rule broken; what the hot path allocates; effects in databases
	$(GO) test -count 1 -timeout $(TIMEOUT) -run '^Test(The)?Simulation' ./processors
	$(GO) test -count 1 -timeout $(TIMEOUT) -run '^($(ALLOC_TESTS))$$' $(sort $(dir $(ALLOC_FILES)))
	$(GO) test -tags weirfault -run TestMutations -timeout $(TIMEOUT) ./processors ./internal/fault
	$(GO) -C examples/sql test -tags weirfault -timeout $(TIMEOUT) ./...

integration: ## tests against a real Kafka: needs Java 17 and Maven, or WEIR_KAFKA_BROKERS; RUN=regexp picks some
	@$(MAKE) --no-print-directory packages scenarios

scenarios: # a run of all of them must show something, so the names are left out
	$(GO) test -tags integration -count 1 -timeout $(TIMEOUT) $(if $(filter file,$(origin RUN)),,-run '$(RUN)') -parallel 4 ./integration/ -weir.lanes=$(LANES)

packages:
	$(GO) test -tags integration -count 1 -p $(LANES) -timeout $(TIMEOUT) -run '$(RUN)' -parallel 4 $(filter-out ./integration/,$(INTEGRATION))

postgresql: ## the tests of examples/sql against a PostgreSQL that they start: needs its server, on Debian the package postgresql
	$(GO) -C examples/sql test -tags 'integration weirfault' -count 1 -timeout $(TIMEOUT) ./...

kafka: ## a three-broker Kafka cluster in the foreground, until Ctrl-C
	@$(GO) run ./integration/cmd/kafka

# ARGS: see `go -C bench run . -help`.
ARGS ?= -work all -out bin/results
bench: ## compare Weir with its peers on one Kafka: Java 17 and Maven; ARGS="-quick -work all" for a few minutes
	@$(GO) build -C bench -o ../bin/bench .
	@bin/bench $(ARGS)

vet: ## go vet, integration tests included
	$(GO) vet -tags integration ./...
	$(GO) vet ./...
	$(GO) -C bench vet ./...
	$(GO) -C examples/sql vet -tags 'integration weirfault' ./...

lint: vet cross licences api vulnerabilities ## vet, gofmt, and the four checks below
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not formatted:"; echo "$$unformatted"; exit 1; fi
	@built=$$(git ls-files -z 2>/dev/null | xargs -0 -r sh -c 'find "$$@" -maxdepth 0 -size +1M' find); if [ -n "$$built" ]; then echo "over 1 MiB, which no source is:"; echo "$$built"; exit 1; fi

# What checks the code is a module of its own, so that importers of Weir get none of it.
TOOLS = $(GO) -C tools run

cross: ## that all packages compile for linux, darwin, windows and freebsd, on amd64 and arm64, and for linux/386
	@$(TOOLS) ./crossbuild -C ..

licences: ## that every dependency's licence is an allowed one; needs no network
	@$(GO) -C tools test ./licences >/dev/null
	@$(TOOLS) ./licences -C ..
	@$(TOOLS) ./licences -C ../bench
	@$(TOOLS) ./licences -C ../examples/sql

api: ## that what users import has not changed incompatibly since the last release, but where the changelog says so
	@$(GO) -C tools test ./apidiff >/dev/null
	@$(TOOLS) ./apidiff -C ..

vulnerabilities: ## govulncheck; where its database cannot be reached it says so, and does not fail
	@$(GO) -C tools vet ./...
	@$(TOOLS) ./vulnerabilities -C ..

fmt: ## format all code
	gofmt -w .
