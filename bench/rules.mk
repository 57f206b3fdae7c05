# What the library costs, in time. ROUNDS=101 for quieter figures, SECTIONS="cycles search" for some of them.

ROUNDS ?= 41
SECTIONS ?=
MILLIONS ?= 4
BENCH = $(filter-out $(patsubst %,bench/%.c,driver empty floor log_lines outside),$(wildcard bench/*.c))

$(B)/bench/bench: $(call objects,obj,$(BENCH))
	@mkdir -p $(@D); echo "  LINK $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^

$(B)/bench/driver_static: bench/driver.c
	@mkdir -p $(@D); echo "  CC   $< (static)"
	$(Q)$(CC) $(BASE) $(CFLAGS) -static -pthread -o $@ $<

bench: all $(addprefix $(B)/bench/,bench driver driver_static outside empty.so floor.so) ## what the library costs in time (ROUNDS=41)
	$(Q)$(B)/bench/bench $(B) $(ROUNDS) $(SECTIONS)

bench-big: all $(B)/bench/log_lines ## report over large logs, beside jq, awk and mlr (MILLIONS=4 of lines)
	$(Q)bash bench/big_logs.sh $(B) $(MILLIONS)

.PHONY: bench bench-big
