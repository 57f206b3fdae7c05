# The soak test: a short dose of it is in `make check`, the whole is here.

SOAK_CONNECTIONS ?= 1000000
SOAK_PROCESSES ?= 200
SOAK_SEED ?= 1
SOAK = SOAK_CONNECTIONS=$(SOAK_CONNECTIONS) SOAK_PROCESSES=$(SOAK_PROCESSES) SOAK_SEED=$(SOAK_SEED)

$(B)/tests/check: $(addprefix $(B)/obj/tests/,test_soak.o soak_peer.o soak_watch.o soak_sum.o)
check: $(B)/tests/victims/soak_tree

soak: all $(B)/tests/check $(addprefix $(B)/tests/victims/,$(VICTIMS) soak_tree) ## what takes minutes: a million connections, TIME_WAITs that really expire
	$(Q)AFTERFIN_SOAK=1 $(SOAK) $(B)/tests/check -j1 --filter 'soak/*'

# The runner and the command stay as they are; the library and its victims are instrumented.
TSAN = $(B)/tsan
TSAN_VICTIMS = $(addprefix $(TSAN)/tests/victims/,soak_tree threads storm open_by threads_close)
TSAN_OPTIONS = report_thread_leaks=0:atexit_sleep_ms=50:log_path=$(abspath $(TSAN))/report
tsan: all $(B)/tests/check ## threads, under ThreadSanitizer: the short dose, and tests of threads
	$(Q)$(MAKE) -s B=$(TSAN) CFLAGS='-O1 -g -fsanitize=thread -Wno-tsan' $(TSAN)/libafterfin.so $(TSAN_VICTIMS)
	$(Q)cp $(B)/afterfin $(TSAN)/ && cp $(B)/tests/check $(TSAN)/tests/ && rm -f $(TSAN)/report.*
	$(Q)TSAN_OPTIONS=$(TSAN_OPTIONS) $(TSAN)/tests/check --filter \
		'@(soak/every|invisible/threads|invisible/forks|invisible/a_signal|invisible/an_exit|opens/a_connect|threads/)*' || { cat $(TSAN)/report.*; false; }
	$(Q)! cat $(TSAN)/report.* 2>/dev/null

.PHONY: soak tsan
