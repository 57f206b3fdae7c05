# What takes minutes: a short dose of each is in `make check`, the whole is here.

SOAK_CONNECTIONS ?= 1000000
SOAK_PROCESSES ?= 200
SOAK_SEED ?= 1
SOAK = SOAK_CONNECTIONS=$(SOAK_CONNECTIONS) SOAK_PROCESSES=$(SOAK_PROCESSES) SOAK_SEED=$(SOAK_SEED)

soak: all tests ## what takes minutes: a million connections, TIME_WAITs that really expire
	$(Q)AFTERFIN_SOAK=1 $(SOAK) $(B)/tests/check -j1 --filter 'soak/*'
	$(Q)$(MAKE) -s model

TIMES ?= 1000

endings: all tests ## every way to end a connection, 1,000 times over (in `make check` 20 times)
	$(Q)TIMES=$(TIMES) $(B)/tests/check -j2 --filter 'endings/*' $(CHECK)

SEEDS ?= 1000
SEED ?= 1

model: all tests ## random plays of descriptors and processes, SEEDS of them from SEED on (in `make check` 60)
	$(Q)MODEL_SEEDS=$(SEEDS) MODEL_FIRST=$(SEED) $(B)/tests/check -j1 --filter 'model/*'

# The runner and the command stay as they are; the library and its victims are instrumented.
TSAN = $(B)/tsan
TSAN_VICTIMS = $(addprefix $(TSAN)/tests/victims/,soak_tree threads storm open_by threads_close)
TSAN_OPTIONS = report_thread_leaks=0:atexit_sleep_ms=50:log_path=$(abspath $(TSAN))/report
TSAN_TESTS = soak/every|invisible/threads|invisible/forks|invisible/a_signal|invisible/an_exit|opens/a_connect|threads/|set_library/threads

tsan: all tests ## threads, under ThreadSanitizer: the short dose, and tests of threads
	$(Q)$(MAKE) -s B=$(TSAN) CFLAGS='-O1 -g -fsanitize=thread -Wno-tsan' $(TSAN)/libafterfin.so $(TSAN_VICTIMS)
	$(Q)cp $(B)/afterfin $(TSAN)/ && cp $(B)/tests/check $(TSAN)/tests/ && rm -f $(TSAN)/report.*
	$(Q)TSAN_OPTIONS=$(TSAN_OPTIONS) $(TSAN)/tests/check --filter '@($(TSAN_TESTS))*' || \
		{ cat $(TSAN)/report.*; false; }
	$(Q)! cat $(TSAN)/report.* 2>/dev/null

# The command and all that the runner tests by itself, under both; the library, which must not have a runtime, traps.
ASAN = $(B)/asan
ASAN_BOTH = -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -static-libasan -static-libubsan
ASAN_TRAP = -O1 -g -fsanitize=undefined -fsanitize-undefined-trap-on-error
ASAN_SUITES = $(shell sed -nE 's/^Test.([a-z_0-9]+),.*/\1/p' $$(find tests/cli tests/policy tests/ledger -name '*.c') | sort -u)
# What measures the command's memory or instructions, or bounds them, and what is about another program's runtime, is left out.
ASAN_NOT = whatever_lies_there_costs*|a_program_with_the_address_sanitizer*|takes_memory_by_processes*|a_process_takes_little
ASAN_NOT := $(ASAN_NOT)|a_line_takes_so_many_instructions|is_seen_to_its_end_where_memory_is_short*
ASAN_TESTS = @($(subst $() $(),|,$(strip $(filter-out soak,$(ASAN_SUITES)))))/!($(ASAN_NOT))

asan: all tests ## the command and the library, under AddressSanitizer and UBSan
	$(Q)$(MAKE) -s B=$(ASAN) CFLAGS='$(ASAN_TRAP)' $(ASAN)/libafterfin.so $(patsubst $(B)/%,$(ASAN)/%,$(VICTIMS))
	$(Q)$(MAKE) -s B=$(ASAN) CFLAGS='$(ASAN_BOTH)' $(ASAN)/afterfin $(ASAN)/tests/check
	$(Q)ASAN_OPTIONS=detect_leaks=0 $(ASAN)/tests/check -j2 --filter '$(ASAN_TESTS)' $(CHECK)

.PHONY: soak endings model tsan asan
