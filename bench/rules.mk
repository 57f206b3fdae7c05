# What the library costs, in time. ROUNDS=64 for quieter figures, SECTIONS="cycles search" for some of them.
BENCH = $(addprefix bench/,bench.o rows.o search.o place.o figures.o)
ROUNDS ?= 12
SECTIONS ?=

$(B)/bench/bench: $(addprefix $(B)/obj/,$(BENCH))
	@mkdir -p $(@D); echo "  LINK $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^

$(B)/bench/%: bench/%.c
	@mkdir -p $(@D); echo "  CC   $<"
	$(Q)$(CC) $(BASE) $(CFLAGS) -pthread -o $@ $<

$(B)/bench/%.so: bench/%.c
	@mkdir -p $(@D); echo "  CC   $<"
	$(Q)$(CC) $(BASE) $(CFLAGS) -shared -fPIC -o $@ $<

bench: all $(addprefix $(B)/bench/,bench driver empty.so) ## what the library costs in time (ROUNDS=12)
	$(Q)$(B)/bench/bench $(B) $(ROUNDS) $(SECTIONS)

.PHONY: bench
