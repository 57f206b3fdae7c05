# What the library costs, in time. ROUNDS=64 for quieter figures, SECTIONS="cycles search" for some of them.

ROUNDS ?= 12
SECTIONS ?=
BENCH = $(filter-out bench/driver.c bench/empty.c,$(wildcard bench/*.c))

$(B)/bench/bench: $(call objects,obj,$(BENCH))
	@mkdir -p $(@D); echo "  LINK $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^

bench: all $(addprefix $(B)/bench/,bench driver empty.so) ## what the library costs in time (ROUNDS=12)
	$(Q)$(B)/bench/bench $(B) $(ROUNDS) $(SECTIONS)

.PHONY: bench
