# A thin face on Meson. `make help` lists what it can do.
#
# Every directory that a target builds into is named build or build-*; none is ever committed.

BUILD ?= build
ARGS  ?=
TESTS ?=
SEEDS ?=
CELLS ?=
ROWS  ?=
ROUNDS ?=
KEEP  ?=

.DEFAULT_GOAL := build
.PHONY: help build run test test-quick test-devices test-long test-stalls sim gcc clang \
        asan msan tsan fuzz coverage format tidy install uninstall clean bench bench-build \
        bench-programs bench-queues bench-loss bench-memory bench-instructions bench-connections \
        bench-docs setup-build setup-test setup-coverage setup-bench

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z -]+:.*## /{printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup-build setup-test setup-coverage setup-bench: setup-%:
	@tools/setup $*

$(BUILD)/build.ninja: | setup-build
	@meson setup $(BUILD) >$(BUILD).log 2>&1 || { cat $(BUILD).log; rm -f $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log

build: setup-build $(BUILD)/build.ninja ## Build into build/ (the program is build/netstack)
	@ninja -C $(BUILD) --quiet
	@tools/own

run: build ## Build, then start the stack on tun0 in the foreground: make run ARGS="--log-level debug"
	@exec ./$(BUILD)/netstack up $(ARGS)

test: setup-test ## Build, then run every test; the last line is "N passed, N failed, N skipped"
	@tools/test all

test-quick: setup-build build ## Only what needs neither root nor another build
	@tools/test quick

test-long: setup-test ## Fuzz every target for a minute, simulate and transfer longer, repeat under MSan
	@tools/test long

test-devices: setup-test ## The interop suite on TUN and packet devices, and without offloads
	@tools/test devices

test-stalls: setup-test ## The interop suite with processes that stall, as on a busy machine (SEEDS="7")
	@SEEDS="$(SEEDS)" tools/test stalls

sim: build ## Simulate with other seeds: make sim SEEDS="17 1000-1099"
	@for t in $(BUILD)/tests/sim/sim-*; do \
	    [ -d $$t ] || { echo "# $$t"; SEEDS="$(SEEDS)" $$t || exit 1; }; done

bench-build: setup-bench
	@tools/preset bench
	@ninja -C build-bench --quiet benches

bench: bench-build ## Our speed beside the kernel's and other stacks': make bench ROWS="bulk out*" ROUNDS=1
	@bench/bench.py $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(ROWS),--rows "$(ROWS)")

bench-queues: bench-build ## A daemon on two queues, beside one on one (ROWS, ROUNDS)
	@bench/queues.py $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(ROWS),--rows "$(ROWS)")

bench-programs: bench-build ## iperf3, nginx and redis under netstack run, beside the kernel (ROWS, ROUNDS)
	@bench/programs.py $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(ROWS),--rows "$(ROWS)")

bench-memory: build ## Bytes of memory for each of 100,000 connections that are idle
	@ninja -C $(BUILD) --quiet bench/memory
	@$(BUILD)/bench/memory

bench-loss: bench-build ## Bad networks, beside the kernel: make bench-loss SEEDS=1 CELLS="cubic/*loss=1%"
	@bench/loss.py $(if $(SEEDS),--seeds $(SEEDS)) $(if $(CELLS),--cells "$(CELLS)") \
		$(if $(JOBS),--jobs $(JOBS))

bench-instructions: bench-build ## Count the instructions of fixed steps (KEEP=1: keep the counts)
	@bench/instructions.py $(if $(KEEP),--keep)

bench-connections: bench-build ## What an exchange costs with 1 to 1,000,000 connections
	@bench/instructions.py --table

bench-docs: setup-bench ## Put the results of the last runs into docs/performance.md
	@bench/publish.py

asan: ## Build with sanitizers into build-asan/; likewise gcc, clang, msan, tsan, fuzz
gcc clang asan msan tsan fuzz: setup-test
	@tools/preset $@
	@ninja -C build-$@ --quiet
	@tools/own

coverage: setup-coverage ## Run the tests and say how much of each file they reach
	@tools/preset $@
	@ninja -C build-$@ --quiet
	@meson test -C build-$@ --no-rebuild --quiet --suite unit --suite script --suite sim
	@gcovr --root . --filter src/ --print-summary build-$@

format: ## Lay out every C file
	@find include src tests examples bench -name '*.[ch]' -print0 | xargs -0 clang-format-14 -i

tidy: setup-test ## Run clang-tidy over the sources, one by one (in company it sees ghosts)
	@tools/preset asan
	@find src examples -name '*.c' -print0 | sort -z | \
	    xargs -0 -P 2 -n 1 clang-tidy-14 -p build-asan --quiet 2>build-asan/tidy.log

# DESTDIR is for packages, which do the rest themselves when they are installed.
install: build ## Install the program, libraries, headers, man pages, completion and service
	@meson install -C $(BUILD) --no-rebuild --quiet
	@[ -n "$(DESTDIR)" ] || tools/installed

uninstall: ## Remove what was installed
	@ninja -C $(BUILD) --quiet uninstall
	@[ -n "$(DESTDIR)" ] || tools/installed

clean: ## Remove everything that was built
	@rm -rf build build-*
