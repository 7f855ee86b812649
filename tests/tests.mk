# tests.mk - how the tests are built and run. Included by the Makefile.
#
# make check closes with one line: N passed, 0 failed, S skipped. Its parts (tools/check):
#   build     make, the three programs
#   lint      tools/check-*: rooms, links, documents, format
#   unit      one cmocka program for each tests/unit/test_*.c, linked with core, storage and a few files of the server
#   sanitize  those of the parsers under AddressSanitizer and UBSan, compiled as the fuzz targets are (VARIANT=quick)
#   fuzz      each target of tests/fuzz for 3 s
#   faults    order proofs and 10 kills (tests/faults)
#   service   pytest against the real daemon over HTTP (tests/service)
# make check-full has more of each (tools/check --full).

# Where tests/service/test_mnist.py finds its real weights; without them it is skipped (REQUIRE_DATA=1: fails).
AMEND_DATA ?= $(abspath ../shared/data)
export AMEND_DATA

UNIT := $(sort $(wildcard tests/unit/test_*.c))
UNIT_BIN := $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNIT))
UNIT_SERVER := server/cache.c server/doc.c server/doc_style.c server/json.c $(wildcard server/report_*.c) server/trace.c server/engine_claim.c server/engine_end.c server/records.c server/result.c server/result_spans.c server/result_check.c server/publisher_spans.c server/range.c
UNIT_WORKER := worker/limits.c worker/confine.c
# The readers of prediction sets, of datasets and of tokenizers, for their fuzz targets.
FUZZ_WORKER := worker/pack_input.c worker/pack_header.c worker/pack_line.c worker/pack_cols.c worker/pack_dict.c worker/pack_sort.c worker/index_rows.c worker/index_fields.c worker/index_lines.c worker/index_tensors.c worker/index_write.c worker/vocab.c worker/json_edit.c
UNIT_LIB := $(call obj,$(BASE) $(TENSOR) $(METHODS) $(FAMILY) $(TABLE) $(RECIPE) $(COMPAT) $(GATE) $(STORAGE) $(UNIT_SERVER) $(UNIT_WORKER)) $(O)/methods_table.o $(O)/migrations.o

# The tests themselves need no optimiser (nor then what leans on it); what they test comes from the library as it is built.
ifeq ($(VARIANT),release)
$(O)/tests/unit/%.o: OPT := -O0
$(O)/tests/unit/%.o: HARDEN := -fPIE
else ifeq ($(VARIANT),quick)
$(O)/tests/unit/%.o $(O)/storage/%.o $(O)/core/compat/%.o: OPT := -O0
endif
$(O)/libunit.a: $(UNIT_LIB)
	rm -f $@ && ar rcsD $@ $^
UNIT_LINK = $(CC) $(ALL_LDFLAGS) $< $(filter %.a,$^) -o $@ $(call pc,cmocka jansson sqlite3 libuv yaml-0.1 libcrypto) -lm -lpthread
$(B)/unit/%: $(O)/tests/unit/%.o $(O)/libunit.a
	@mkdir -p $(@D)
	$(UNIT_LINK)

# What reads bytes that somebody else wrote: make check runs these under the sanitizers, too, and compiles for that only the
# rooms that they ask, which are far from all (no kernels, no methods, no pages).
PARSERS := st_read st_write spans text base body members canon table plan publish records result compat_text
READERS := $(wildcard core/tensor/st_*.c) core/tensor/dtype.c core/tensor/output.c
$(O)/libparsers.a: $(call obj,$(BASE) $(READERS) core/tensor/linalg.c $(TABLE) $(COMPAT) $(STORAGE) $(wildcard server/result*.c) server/records.c server/publisher_spans.c) $(O)/migrations.o
	rm -f $@ && ar rcsD $@ $^
$(PARSERS:%=$(B)/unit/test_%): $(B)/unit/%: $(O)/tests/unit/%.o $(O)/libparsers.a
	@mkdir -p $(@D)
	$(UNIT_LINK)

# Fuzz targets (VARIANT=fuzz, planted or quick): clang's libFuzzer with the sanitizers over the parsers of untrusted bytes.
FUZZ_SECONDS ?= 600
FUZZ := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
$(O)/libfuzz.a: $(call obj,$(BASE) $(READERS) $(TABLE) $(RECIPE) server/records.c $(FUZZ_WORKER))
	rm -f $@ && ar rcsD $@ $^
$(B)/fuzz_%: $(O)/tests/fuzz/fuzz_%.o $(O)/libfuzz.a
	@mkdir -p $(@D)
	$(CC) $(SAN) -fsanitize=fuzzer -pie $< $(O)/libfuzz.a -o $@ $(call pc,jansson yaml-0.1 libcrypto zlib) -lm

VENV := build/venv
$(VENV)/ok: tests/requirements.txt
	python3 -m venv --clear $(VENV)
	$(VENV)/bin/pip install -q --no-compile --disable-pip-version-check --require-hashes -r $<
	touch $@

# Two lines of the Hub's own client, each in an environment of its own (tests/service/test_hub_clients.py); make check-full
# has them, make check does without.
.PHONY: hub-clients
hub-clients: build/venv-hub-old/ok build/venv-hub-new/ok
build/venv-hub-%/ok: tests/requirements-hub-%.txt
	python3 -m venv --clear $(@D)
	$(@D)/bin/pip install -q --disable-pip-version-check --require-hashes -r $<
	touch $@

# What only make check-full needs (tests/service/test_schemathesis.py).
VENV_SLOW := build/venv-slow
$(VENV_SLOW)/ok: tests/requirements-slow.txt
	python3 -m venv --clear $(VENV_SLOW)
	$(VENV_SLOW)/bin/pip install -q --disable-pip-version-check --require-hashes -r $<
	touch $@

# torch, transformers, peft and mergekit itself (tests/peers/README.md); no other part needs them.
VENV_PEERS := build/venv-peers
$(VENV_PEERS)/installed: tests/requirements-peers.txt
	python3 -m venv --clear $(VENV_PEERS)
	$(VENV_PEERS)/bin/pip install -q --disable-pip-version-check --no-deps --require-hashes -r $<
	touch $@
$(VENV_PEERS)/ok: tests/peers/without-cuda $(VENV_PEERS)/installed
	$< $(VENV_PEERS)/lib/python3*/site-packages/torch/lib
	touch $@
.PHONY: check-peers
check-peers: deps all $(VENV_PEERS)/ok
	$(VENV_PEERS)/bin/python -m pytest -q tests/peers $(PYTEST)

# Fault tests (tests/faults/README.md): VARIANT=fault has failpoints and the recorder built in; two tools beside it.
FAULT_TOOLS := build/faults/slow_sync.so build/faults/submit_load
FAULT_PY = AMEND_BUILD=build/fault build/venv/bin/python
ROUNDS ?= 300
build/faults/slow_sync.so: tests/faults/slow_sync.c
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -D_GNU_SOURCE -O2 $(WARN) -shared -fPIC $< -o $@ -ldl
build/faults/submit_load: tests/faults/submit_load.c
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -D_GNU_SOURCE -O2 $(WARN) $< -o $@ -lpthread

.PHONY: fault-build crash faults
fault-build: $(VENV)/ok $(FAULT_TOOLS)
	$(MAKE) -s VARIANT=fault all
# Kills by phase with a histogram; ROUNDS=n.
crash: deps fault-build
	$(FAULT_PY) tests/faults/crash.py --rounds $(ROUNDS)
# Everything else of tests/faults, whole; long. A failing part does not hide the others.
FAULT_PARTS := "-m pytest -q tests/faults" tests/faults/mutants.py "tests/faults/powercut.py --limit 64 --starts 100 --deep" \
               tests/faults/enumerate.py tests/faults/straced.py
faults: deps fault-build all
	@failed=; for part in $(FAULT_PARTS); do echo "== $$part"; $(FAULT_PY) $$part || failed="$$failed $$part;"; done; \
	AMEND_BUILD=build build/venv/bin/python tests/faults/slow.py || failed="$$failed slow.py;"; \
	if [ -n "$$failed" ]; then echo "failed:$$failed"; exit 1; fi

.PHONY: unit-programs unit service check-full
unit-programs: $(UNIT_BIN) $(B)/unit/compat_cli
unit:
	tools/check unit
service: all
	tools/check service
check: deps
	tools/check
check-full: deps
	tools/check --full
lint: deps all
	tools/check lint
# The proof that the fuzzer finds a known bug within a minute, then ten minutes for each target.
PLANTED := $(patsubst tests/fuzz/fuzz_%.c,%,$(shell grep -l AM_PLANTED_BUG tests/fuzz/fuzz_*.c))
fuzz: deps
	for t in $(PLANTED); do PLANTED=1 tools/fuzz $$t 60 || exit 1; done
	for t in $(FUZZ); do tools/fuzz $$t $(FUZZ_SECONDS) || exit 1; done
