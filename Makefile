VERSION   := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
FUZZTIME  ?= 10s
BENCHTIME ?= 1s
FOR       ?= 60s
SEED      ?= 0

.DEFAULT_GOAL := help
.PHONY: help build run test lint fuzz torture bench compare peers wasm clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 10

build: ## build bin/edgecache
	go build -trimpath -ldflags "-X main.release=$(VERSION)" -o bin/edgecache ./cmd/edgecache

run: build ## build and run the demo; Ctrl-C ends it
	bin/edgecache demo

test: ## run all tests with the race detector, after installing what they need
	scripts/test

lint: ## vet, staticcheck, gofmt, tidy go.mod, known vulnerabilities
	scripts/lint

fuzz: ## run each fuzz target for FUZZTIME (10s)
	scripts/fuzz $(FUZZTIME)

torture: ## crash, starve and damage disks under nodes, then simulated clusters, then real ones, each for FOR (60s); SEED=… repeats what one did
	go test ./torture -count=1 -v -timeout 24h -for=$(FOR) -seed=$(SEED)
	go test ./gossip/simulator -count=1 -v -timeout 24h -run 'TestSeeds|Deliberate' -for=$(FOR) -seed=$(SEED)
	go test ./e2e -count=1 -v -timeout 24h -run 'ByFiveNodes|APartitionUnder|ARolling' -cluster.for=$(FOR) -cluster.seed=$(SEED) -cluster.apart=$(FOR)

bench: ## run the micro benchmarks, each for BENCHTIME (1s); output is for benchstat
	go test -run '^$$' -bench . -benchtime $(BENCHTIME) ./...
	cd benchmarks && go test -run '^$$' -bench . -benchtime $(BENCHTIME) ./...

compare: build ## measure edgecache against its peers; ARGS="-only hit/redis -rounds 1" for a quick look
	cd benchmarks && go run ./compare $(ARGS)

peers: ## install the peers that compare measures against (Debian packages, as root)
	scripts/install-peers
	scripts/install-consul

wasm: ## build the WebAssembly modules that are committed, each with the tool that is there
	scripts/wasm

clean: ## remove what was built
	rm -rf bin
	go clean -testcache
