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
# The runtime cannot do without /proc.
ASAN_NOT := $(ASAN_NOT)|says_in_the_words_of_run_that_nothing_is_reached*
ASAN_TESTS = @($(subst $() $(),|,$(strip $(filter-out soak,$(ASAN_SUITES)))))/!($(ASAN_NOT))

asan: all tests ## the command and the library, under AddressSanitizer and UBSan
	$(Q)$(MAKE) -s B=$(ASAN) CFLAGS='$(ASAN_TRAP)' $(ASAN)/libafterfin.so $(patsubst $(B)/%,$(ASAN)/%,$(VICTIMS))
	$(Q)$(MAKE) -s B=$(ASAN) CFLAGS='$(ASAN_BOTH)' $(ASAN)/afterfin $(ASAN)/tests/check
	$(Q)ASAN_OPTIONS=detect_leaks=0 $(ASAN)/tests/check -j2 --filter '$(ASAN_TESTS)' $(CHECK)

# The library and its victims under both, what runs them as it is; a program that is not built so has the runtime by the
# library. What cannot be had under it:
#   costs memory                  what is measured there is the runtime's too; costs, rules_file: valgrind and it exclude each other
#   faults sandboxes/a_child* inherited/after*   the runtime's own system calls fail, or are killed for
#   deepbind                      it refuses RTLD_DEEPBIND, and a second one in another namespace
#   pointers invisible/calls_on*  wrong on purpose, which it ends, bare too
#   invisible/children_exec*      what a cancelled thread's frames have marked stays marked
#   programs preloads             allocators of their own
#   other_libraries/a_program_with*   it looks for itself by dl_iterate_phdr, which is the program's there
#   boundary/*touches_nothing*    is built with it in any case
#   old_libc bits32 model         other libcs, other processors; the model's plays are as long again
ASAN_SHIM = $(B)/asan-shim
ASAN_SHIM_FLAGS = -O1 -g -fsanitize=address,undefined -fno-sanitize=nonnull-attribute -fsanitize-undefined-trap-on-error
ASAN_SHIM_NOT = costs costs_start costs_fork memory faults deepbind pointers programs preloads old_libc bits32 model
ASAN_SHIM_SUITES ?= $(filter-out $(ASAN_SHIM_NOT),$(shell sed -nE 's/^Test.([a-z_0-9]+),.*/\1/p' tests/shim/*.c | sort -u))
ASAN_SHIM_NOR = a_child_that_has_sealed*|after_a_filter*|calls_on_sockets*|children_execs*|a_program_with_a_dl*|*touches_nothing*
ASAN_SHIM_NOR := $(ASAN_SHIM_NOR)|a_thousand_rules*
ASAN_SHIM_TESTS = @($(subst $() $(),|,$(strip $(ASAN_SHIM_SUITES))))/!($(ASAN_SHIM_NOR))

asan-shim: all tests ## the library and what it is in, under AddressSanitizer and UBSan (ASAN_SHIM_SUITES="ways opens")
	$(Q)$(MAKE) -s B=$(ASAN_SHIM) CFLAGS='$(ASAN_SHIM_FLAGS)' $(ASAN_SHIM)/libafterfin.so \
		$(patsubst $(B)/%,$(ASAN_SHIM)/%,$(filter-out %_asan $(B)/tests/victims/static/%,$(VICTIMS)))
	$(Q)$(MAKE) -s B=$(ASAN_SHIM) CFLAGS='$(ASAN_TRAP)' \
		$(patsubst $(B)/%,$(ASAN_SHIM)/%,$(filter $(B)/tests/victims/static/%,$(VICTIMS)))
	$(Q)cp $(B)/afterfin $(ASAN_SHIM)/ && cp $(B)/tests/check $(ASAN_SHIM)/tests/
	$(Q)ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0:abort_on_error=1 $(ASAN_SHIM)/tests/check -j2 \
		--filter '$(ASAN_SHIM_TESTS)' $(CHECK)

.PHONY: soak endings model tsan asan asan-shim
