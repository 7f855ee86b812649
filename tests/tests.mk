# tests.mk - how the tests are built and run. Included by the Makefile.

# One program for each tests/unit/test_*.c, linked with everything but main()s; cmocka.
UNIT := $(sort $(wildcard tests/unit/test_*.c))
UNIT_BIN := $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNIT))
UNIT_LIB := $(call obj,$(BASE) $(POOL) $(TENSOR) $(METHODS) $(FAMILY) $(TABLE) $(STORAGE)) $(O)/methods_table.o $(O)/migrations.o

$(O)/libunit.a: $(UNIT_LIB)
	rm -f $@ && ar rcsD $@ $^
$(B)/unit/%: $(O)/tests/unit/%.o $(O)/libunit.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $< $(O)/libunit.a -o $@ $(call pc,cmocka jansson sqlite3 libuv libcrypto) -lm -lpthread
.PHONY: unit
unit: $(UNIT_BIN)
	@for t in $(UNIT_BIN); do $$t || exit 1; done
