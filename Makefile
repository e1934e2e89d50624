# Bare `make` lists what one can do.
.DEFAULT_GOAL := help

# Tests and programs share one configuration, so that nothing is built twice.
SWIFT_FLAGS ?= -c release -Xswiftc -enable-testing
BIN := .build/release
# A thousand tests at once on two cores keep those with sockets waiting for longer than they have patience.
TEST_WIDTH := SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH=8
SEEDS ?= 2000
SEED ?= 1
ROUNDS ?= 3
CLIENTS ?= --all
THREADS ?= 1,2
CORES ?= 0,1

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: build ## a live cluster on loopback: 1 coordinator, 2 prefill workers, 1 decode worker, every answer checked
	@$(BIN)/baton demo --model Models/baton-tiny

.PHONY: test
test: build ## all tests: unit, oracle, simulation, real processes, kills
	$(TEST_WIDTH) swift test $(SWIFT_FLAGS) --skip-build

.PHONY: build
build: dependencies ## build programs and tests (release, testing enabled)
	swift build $(SWIFT_FLAGS) --build-tests

.PHONY: dependencies
dependencies: ## install the Debian/Ubuntu packages that are missing
	@deploy/install-dependencies.sh

.PHONY: test-jobs
test-jobs: build ## a batch job through kills: LINES=10000 COORDINATOR_KILLS=3 WORKER_KILLS=5; every line answered once, as undisturbed
	BATON_JOB_LINES=$(or $(LINES),10000) BATON_COORDINATOR_KILLS=$(or $(COORDINATOR_KILLS),3) BATON_WORKER_KILLS=$(or $(WORKER_KILLS),5) \
	    swift test $(SWIFT_FLAGS) --skip-build --filter aJobOutlivesCoordinatorsAndWorkers

.PHONY: test-clients
test-clients: build ## unchanged clients from PyPI against a live cluster, bounded; CLIENTS= for those that CI runs
	python3 Tests/Clients/run.py $(CLIENTS)

.PHONY: simulate
simulate: build ## the real core under seeded faults: SEEDS=2000 SEED=1; planted bugs must be found
	$(BIN)/simulate --seeds $(SEEDS) --seed $(SEED)

.PHONY: check
check: build ## generated code is current, documents name files that exist, compose flags are valid
	Protos/generate.sh --check
	swift test $(SWIFT_FLAGS) --skip-build --filter 'Documents|Compose|House'

.PHONY: fuzz
fuzz: dependencies ## parsers under sanitizers, guided by coverage: RUNS=200000 TARGET=tokenizer; RUNS=100000000 is the long form
	@RUNS="$(RUNS)" TARGET="$(TARGET)" Fuzzing/run.sh

.PHONY: fuzz-merge
fuzz-merge: dependencies ## the same, then keep in Tests/Fixtures/fuzz what reached something new
	@MERGE=1 RUNS="$(RUNS)" TARGET="$(TARGET)" Fuzzing/run.sh

.PHONY: sanitize
sanitize: dependencies ## tests of kernels, parsers and wire with AddressSanitizer, C also with UBSan (builds apart)
	ASAN_OPTIONS=detect_leaks=0 swift test -c release -Xswiftc -enable-testing --scratch-path .build-sanitize \
	    --sanitize address -Xcc -fsanitize=undefined -Xcc -fno-sanitize-recover=undefined \
	    --filter 'KernelsTests|WireTests|JSONReaderTests|TokenizerTests|FuzzTargetsTests'

.PHONY: protos
protos: dependencies ## regenerate Sources/CWire from Protos/
	Protos/generate.sh

.PHONY: fixtures
fixtures: ## remake the oracle fixtures with transformers and tokenizers (Python, in .venv)
	deploy/python-environment.sh
	.venv/bin/python Tests/Fixtures/checkpoints/make_checkpoints.py
	.venv/bin/python Tests/Fixtures/tokenizers/make_fixtures.py
	.venv/bin/python Tests/Fixtures/gguf/make_gguf.py
	.venv/bin/python Tests/Fixtures/templates/make_templates.py

.PHONY: model
model: ## retrain the bundled model (Python, about 40 minutes on two cores)
	deploy/python-environment.sh
	.venv/bin/python Models/training/train.py

MODELS := .bench-models
.PHONY: bench-engine
bench-engine: build ## prefill and decode beside the machine's ceilings, for two shapes and the bundled model: ROUNDS=3 ARGS=--json
	@for shape in qwen2.5-0.5b smollm-135m; do \
	    [ -f $(MODELS)/$$shape/model.safetensors ] || $(BIN)/baton model make --shape $$shape --seed 1 $(MODELS)/$$shape; done
	@for model in $(MODELS)/qwen2.5-0.5b $(MODELS)/smollm-135m Models/baton-tiny; do for dtype in bfloat16 int8; do \
	    $(BIN)/baton bench engine --model $$model --dtype $$dtype --threads $(THREADS) --cores $(CORES) --rounds $(ROUNDS) $(ARGS) || exit 1; \
	    done; done

.PHONY: bench-attention
bench-attention: ROUNDS = 9
bench-attention: build ## attention over a shared prefix beside the machine's limits, ten minutes: ARGS='--shapes multihead --prefix 4096'
	$(BIN)/baton bench attention --threads $(THREADS) --cores $(CORES) --rounds $(ROUNDS) --cell-seconds 1.2 --tail 16 $(ARGS)

BENCH_MODEL := $(MODELS)/smollm-135m.gguf
$(BENCH_MODEL): | build
	@mkdir -p $(MODELS)
	$(BIN)/baton model make --shape smollm-135m --seed 1 --format gguf $@

.PHONY: bench-parking
bench-parking: build $(BENCH_MODEL) ## parking a query's KV and resuming it, beside computing its tokens again: ARGS='--rounds 31'
	$(BIN)/baton bench parking --model $(BENCH_MODEL) $(ARGS)

.PHONY: bench-baton
bench-baton: build $(BENCH_MODEL) ## the BATON experiments, arm beside arm, hours in all, resumable: BUDGET=60 (minutes) ARGS='--experiments 1'
	$(BIN)/baton bench baton --model $(BENCH_MODEL) $(if $(BUDGET),--budget $(BUDGET)) $(ARGS)

.PHONY: bench-baton-short
bench-baton-short: build $(BENCH_MODEL) ## the same in five minutes, with fewer and shorter queries
	$(BIN)/baton bench baton --short --model $(BENCH_MODEL) --results .bench-results/baton-short \
	    --report .bench-results/baton-short.md $(ARGS)

.PHONY: bench-batchllm
bench-batchllm: build $(BENCH_MODEL) ## the BatchLLM experiments: jobs that share prefixes, hours in all, resumable: BUDGET=60 (minutes) ARGS='--experiments 1' or --paper
	$(BIN)/baton bench batchllm --model $(BENCH_MODEL) $(if $(BUDGET),--budget $(BUDGET)) $(ARGS)

.PHONY: bench-batchllm-short
bench-batchllm-short: build $(BENCH_MODEL) ## the same in five minutes, with fewer and shorter requests
	$(BIN)/baton bench batchllm --short --model $(BENCH_MODEL) --results .bench-results/batchllm-short \
	    --report .bench-results/batchllm-short.md $(ARGS)

.PHONY: bench-planning
bench-planning: build ## what planning a job gives, in virtual time, and how long a million prompts take to plan
	$(BIN)/baton bench planning --time-prompts 1000000 $(ARGS)

.PHONY: bench-placement
bench-placement: build ## placement by prefixes beside others, on 1 to 8 workers and on 1,000, in virtual time
	$(BIN)/baton bench placement $(ARGS)
	$(BIN)/baton bench placement --workers 1000 --requests 40000 --scale 16 $(ARGS)

.PHONY: bench-cancel
bench-cancel: build ## clients that go away in every phase, a thousand times: how soon nothing is held any more: ARGS='--rounds 4' is short
	$(BIN)/baton bench cancel --model Models/baton-tiny $(ARGS)

.PHONY: bench-gateway
bench-gateway: build ## what HTTP costs: 64 streams for two minutes, 10,000 idle connections: ARGS='--seconds 10 --pairs 2' is short
	$(BIN)/baton bench gateway --model Models/baton-tiny $(ARGS)

.PHONY: bench-beside
bench-beside: build $(BENCH_MODEL) ## what a batch job does to the latency of online requests: ARGS='--pairs 2 --seconds 5' is short
	$(BIN)/baton bench beside --model $(BENCH_MODEL) $(ARGS)

.PHONY: bench-peers
bench-peers: build ## our engine beside llama.cpp and OpenVINO GenAI on the same weights: ARGS='--threads 1,2 --json peers.json'
	Benchmarks/peers/setup.sh
	.bench-peers/python/bin/python Benchmarks/peers/compare.py $(ARGS)

.PHONY: bench-serve-peers
bench-serve-peers: build $(BENCH_MODEL) ## queries a minute and latencies beside llama-server on two cores: ARGS='--rounds 7'; LLAMA_SERVER=PATH takes one that is there
	@[ -n "$(LLAMA_SERVER)" ] || Benchmarks/peers/setup.sh llama.cpp
	LLAMA_SERVER="$(LLAMA_SERVER)" python3 Benchmarks/peers/serve.py $(ARGS)

.PHONY: clean
clean: ## remove what was built
	rm -rf .build .build-fuzz .build-sanitize

.PHONY: distclean
distclean: clean ## remove also what was downloaded for clients and peers, models made for benchmarks, and their results
	rm -rf .venv-clients .bench-models .bench-peers .bench-results
