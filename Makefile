# Makefile of amend. GNU make; out of tree: everything made lies in build/.
#
#   make            the three programs: build/amendd, build/amend-worker, build/amend
#   make demo       a tour: real models in, merge, unlearn, edit, lineage out (KEEP=1 leaves the service running)
#   make check      all tests, a few minutes on 2 cores; make check-full has more of each; parts alone: make lint unit service
#   make check-peers  against mergekit, transformers and PEFT, in an environment of their own (tests/peers/README.md)
#   make deps       what a bare Debian 12 with git and make lacks, by apt (asks first; YES=1, or root with CI=true, do not)
#   make docs       the generated blocks of api.md
#   make man        the manual pages build/man/amend.1 and amendd.8
#   make bench      measurements, as ratios (bench/README.md); make bench-kernels: the kernels alone, a minute
#   make fuzz       each fuzz target for FUZZ_SECONDS (600)
#   make install uninstall clean
#
# VARIANT=debug adds the misbehaving method of tests/debug (for tests/service/test_hostile.py); asan builds with
# AddressSanitizer and UBSan under build/asan/; fuzz and planted are for the fuzz targets; quick has what make check runs
# under the sanitizers, fuzz targets and unit tests of parsers; fault has failpoints and the recorder built in, for tests/faults.

VERSION := 0.1.0
VARIANT ?= release
ifeq ($(VARIANT),release)
B := build
else
B := build/$(VARIANT)
endif
O := build/obj/$(VARIANT)
# Where the objects lie of sources that a variant does not change. The fault build has those of a release, and its own of
# the few files that name its harness.
SHARED := $(if $(filter fault,$(VARIANT)),build/obj/release,$(O))

prefix ?= /usr/local
bindir ?= $(prefix)/bin
libexecdir ?= $(prefix)/libexec
sysconfdir ?= /etc
unitdir ?= $(prefix)/lib/systemd/system
sysusersdir ?= $(prefix)/lib/sysusers.d
tmpfilesdir ?= $(prefix)/lib/tmpfiles.d
docdir ?= $(prefix)/share/doc/amend
mandir ?= $(prefix)/share/man
bashcompdir ?= $(prefix)/share/bash-completion/completions
zshcompdir ?= $(prefix)/share/zsh/site-functions
fishcompdir ?= $(prefix)/share/fish/vendor_completions.d

CC = gcc
OPT ?= -O2
WARN := -Wall -Wextra -Wshadow -Wconversion -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wundef -Werror
HARDEN := -fstack-protector-strong -fstack-clash-protection -fPIE
SAN :=
ifeq ($(VARIANT),asan)
SAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
OPT := -O1
else ifneq ($(filter fuzz planted quick,$(VARIANT)),)
# libFuzzer is clang's; `planted` builds a known bug in, to prove that the fuzzer finds it. `quick` compiles once
# for both of its uses, and what no fuzz target runs without an optimiser (tests.mk).
CC := clang
SAN := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined $(if $(filter planted,$(VARIANT)),-DAM_PLANTED_BUG)
HARDEN := -fPIE
OPT := -O1
else
HARDEN += -D_FORTIFY_SOURCE=2
endif
FAULT :=
FAULT_SRC :=
ifeq ($(VARIANT),fault)
FAULT := -DAM_FAILPOINTS -DAM_RECORD
FAULT_SRC := $(shell grep -lE 'core/base/(failpoint|sys_record)\.h"' core/*/*.c storage/*.c server/*.c server/api/*.c worker/*.c cli/*.c)
endif
# Lines are enough for a backtrace and a sanitizer's report; whole debug information takes a third of the time of a build.
CFLAGS ?= $(if $(filter debug,$(VARIANT)),-g,-g1)
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE -DAM_VERSION='"$(VERSION)"' -I. -I$(O) $(OPT) $(KERNEL_SET) $(CFLAGS) $(WARN) $(HARDEN) $(SAN) $(FAULT) -ffp-contract=off \
             -ffile-prefix-map=$(CURDIR)=. -MMD -MP
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now $(SAN) $(LDFLAGS)

# Libraries of a room, asked of pkg-config when a program of it is linked.
pc = $(shell pkg-config --libs $(1))

src = $(sort $(wildcard $(addsuffix /*.c,$(1))))
obj = $(patsubst %.c,$(O)/%.o,$(filter $(FAULT_SRC),$(1))) $(patsubst %.c,$(SHARED)/%.o,$(filter-out $(FAULT_SRC),$(1)))

BASE := $(call src,core/base)
TENSOR := $(call src,core/tensor)
METHODS := $(call src,core/methods)
# A method that misbehaves on purpose is built with VARIANT=debug, or with DEBUG_METHODS=1 into another one; never into a release.
DEBUG_METHODS ?= $(filter debug,$(VARIANT))
ifneq ($(and $(filter release,$(VARIANT)),$(DEBUG_METHODS)),)
$(error DEBUG_METHODS are not for a release: make VARIANT=debug)
endif
FAMILIES := core/merge core/unlearn core/edit core/evaluate $(if $(DEBUG_METHODS),tests/debug/edit)
FAMILY := $(call src,$(FAMILIES))
TABLE := $(call src,core/table)
RECIPE := $(call src,core/recipe)
COMPAT := $(call src,core/compat)
GATE := $(call src,core/gate)
STORAGE := $(call src,storage)
SERVER := $(call src,server server/api)
WORKER := $(call src,worker)
CLI := $(call src,cli) $(wildcard core/tensor/st_*.c) core/tensor/dtype.c

PROGRAMS := $(B)/amendd $(B)/amend-worker $(B)/amend
all: $(PROGRAMS)
always:
.PHONY: all always deps demo bench bench-kernels check lint fuzz install uninstall clean docs
.DELETE_ON_ERROR:
.SECONDARY:

$(O)/%.o: %.c | deps-present
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c $< -o $@
ifneq ($(SHARED),$(O))
$(SHARED)/%.o: FAULT :=
$(SHARED)/%.o: %.c | deps-present
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c $< -o $@
endif
$(O)/%.o: $(O)/%.c
	$(CC) $(ALL_CFLAGS) -c $< -o $@
# The loops over elements (core/tensor/kernels_body.h) are compiled once for each set of kernels. Nobody reads the flags
# of exceptions; gcc, which would keep them, then makes vectors of more loops. It changes no result.
$(SHARED)/core/tensor/kernels_generic.o: KERNEL_SET = $(OPT:-O2=-O3) -fno-trapping-math
ifneq ($(filter x86_64%,$(shell $(CC) -dumpmachine)),)
$(SHARED)/core/tensor/kernels_avx2.o: KERNEL_SET = $(OPT:-O2=-O3 -funroll-loops) -fno-trapping-math -mavx2 -mf16c -mfma
$(SHARED)/core/tensor/kernels_avx512.o: KERNEL_SET = $(OPT:-O2=-O3 -funroll-loops) -fno-trapping-math -mf16c -mprefer-vector-width=512 \
                                                -mavx512f -mavx512bw -mavx512dq -mavx512vl
endif

# The registry of methods is found by name: one exported am_method_<type>_<stem> in each file of a family.
# methods.list changes when a file comes or goes, so that a removed method is gone at the next make.
METHOD_FILES := $(sort $(wildcard $(addsuffix /[a-z]*.c,$(FAMILIES))))
$(O)/methods.list: always
	@mkdir -p $(@D)
	@echo '$(METHOD_FILES)' | cmp -s - $@ || echo '$(METHOD_FILES)' > $@
$(O)/methods_table.c: $(O)/methods.list $(METHOD_FILES) tools/gen-methods
	tools/gen-methods $(METHOD_FILES) > $@
$(O)/migrations.c: $(sort $(wildcard migrations/[0-9]*.sql)) tools/embed-sql
	@mkdir -p $(@D)
	tools/embed-sql $(sort $(wildcard migrations/[0-9]*.sql)) > $@

CORE_OBJ := $(call obj,$(BASE) $(TENSOR) $(METHODS) $(FAMILY) $(TABLE)) $(O)/methods_table.o
$(B)/amend-worker: $(call obj,$(WORKER) $(COMPAT) $(GATE)) $(CORE_OBJ)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $^ -o $@ $(call pc,jansson libcrypto zlib) -lm

# What the worker says of its methods is embedded in the daemon; the client asks the daemon.
$(O)/registry.json: $(B)/amend-worker
	$(B)/amend-worker describe > $@
$(O)/registry.c: $(O)/registry.json tools/embed-bytes
	tools/embed-bytes am_registry_json $< > $@

# ns per element of every kernel in every set that this processor has; build/bench/kernels --json for machines.
$(B)/bench/kernels: $(call obj,bench/kernels.c $(wildcard core/tensor/kernels*.c))
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $^ -o $@
bench-kernels: $(B)/bench/kernels
	$<
# Hours on a quiet machine; bench/README.md.
bench: all bench-kernels
	bench/run

# Of the statistics the daemon has what compares bounds with limits, and no more: the linker takes what is asked for.
$(O)/libcompat.a: $(call obj,$(COMPAT))
	rm -f $@ && ar rcsD $@ $^
$(B)/amendd: $(call obj,$(SERVER) $(STORAGE) $(RECIPE) $(GATE) $(TABLE) $(BASE)) $(O)/migrations.o $(O)/registry.o $(O)/libcompat.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $(filter %.o,$^) $(filter %.a,$^) -o $@ $(call pc,libmicrohttpd jansson sqlite3 libuv yaml-0.1 libcrypto zlib) -lm
$(B)/amend: $(call obj,$(CLI) $(BASE))
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $^ -o $@ $(call pc,libcurl jansson yaml-0.1 libcrypto zlib) -lm

-include $(foreach o,$(sort $(O) $(SHARED)),$(shell test -d $(o) && find $(o) -name '*.d'))

include tools/deps.mk
include tests/tests.mk

demo: deps-present
	@$(MAKE) -s -j2 all
	@BUILD=$(B) tools/demo

# The generated blocks of api.md.
docs: $(B)/amendd
	tools/update-docs $<

# The manual pages and completions come from the same tables as --help.
MAN := $(B)/man/amend.1 $(B)/man/amendd.8
COMPLETION := $(B)/completion/amend $(B)/completion/_amend $(B)/completion/amend.fish
.PHONY: man
man: $(MAN) $(COMPLETION)
$(B)/man/amend.1: $(B)/amend
	@mkdir -p $(@D)
	$< __man > $@
$(B)/man/amendd.8: $(B)/amendd
	@mkdir -p $(@D)
	$< --dump-man > $@
$(B)/completion/amend $(B)/completion/_amend $(B)/completion/amend.fish: $(B)/amend
	@mkdir -p $(@D)
	$< completion $(if $(filter amend,$(@F)),bash,$(if $(filter _amend,$(@F)),zsh,fish)) > $@

install: all man
	install -d $(addprefix $(DESTDIR),$(bindir) $(libexecdir) $(unitdir) $(sysusersdir) $(tmpfilesdir) $(sysconfdir)/amendd $(docdir))
	install -m 755 $(B)/amendd $(B)/amend $(DESTDIR)$(bindir)
	install -m 755 $(B)/amend-worker $(DESTDIR)$(libexecdir)
	sed 's|/usr/local/bin|$(bindir)|; s|/usr/local/share/doc/amend|$(docdir)|' systemd/amendd.service > $(DESTDIR)$(unitdir)/amendd.service
	chmod 644 $(DESTDIR)$(unitdir)/amendd.service
	install -m 644 systemd/amendd.sysusers $(DESTDIR)$(sysusersdir)/amendd.conf
	install -m 644 systemd/amendd.tmpfiles $(DESTDIR)$(tmpfilesdir)/amendd.conf
	test -e $(DESTDIR)$(sysconfdir)/amendd/amendd.env || install -m 640 systemd/amendd.env $(DESTDIR)$(sysconfdir)/amendd/amendd.env
	install -d $(addprefix $(DESTDIR),$(mandir)/man1 $(mandir)/man8 $(bashcompdir) $(zshcompdir) $(fishcompdir))
	install -m 644 $(B)/man/amend.1 $(DESTDIR)$(mandir)/man1
	install -m 644 $(B)/man/amendd.8 $(DESTDIR)$(mandir)/man8
	install -m 644 $(B)/completion/amend $(DESTDIR)$(bashcompdir)
	install -m 644 $(B)/completion/_amend $(DESTDIR)$(zshcompdir)
	install -m 644 $(B)/completion/amend.fish $(DESTDIR)$(fishcompdir)
	install -m 644 README.md ARCHITECTURE.md api.md LICENSE $(DESTDIR)$(docdir)
	install -m 644 -D -t $(DESTDIR)$(docdir)/docs docs/*
uninstall:
	rm -f $(addprefix $(DESTDIR)$(bindir)/,amendd amend) $(DESTDIR)$(libexecdir)/amend-worker $(DESTDIR)$(unitdir)/amendd.service \
	    $(DESTDIR)$(sysusersdir)/amendd.conf $(DESTDIR)$(tmpfilesdir)/amendd.conf \
	    $(DESTDIR)$(mandir)/man1/amend.1 $(DESTDIR)$(mandir)/man8/amendd.8 \
	    $(DESTDIR)$(bashcompdir)/amend $(DESTDIR)$(zshcompdir)/_amend $(DESTDIR)$(fishcompdir)/amend.fish
	rm -rf $(DESTDIR)$(docdir)

clean:
	rm -rf build
