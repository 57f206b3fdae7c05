# libFuzzer over what comes from outside: settings, ledgers, programs; with the address and undefined-behaviour
# sanitizers.

FUZZ_SECONDS ?= 60
FUZZERS = policy reader elf
FUZZ = clang $(filter-out -MMD -MP,$(BASE)) -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
FUZZ_policy = tests/policy/policy_invariants.c $(POLICY)
FUZZ_elf = tests/cli/elf/elf_invariants.c $(wildcard cli/elf/*.c cli/output/*.c) $(POLICY) $(CLI_LIBRARIES)
FUZZ_reader = tests/ledger/reader_invariants.c $(READER) $(WRITER) $(POLICY) $(CLI_LIBRARIES) \
	$(wildcard cli/ledgers/*.c cli/kernel/*.c cli/output/*.c)

# The objects stand for what the sources include. What a fuzzer defines itself takes the place of what the command has.
$(B)/fuzz/%: tests/fuzz/%.c $(call objects,obj,$(filter-out cli/main.c,$(CLI)) $(POLICY) $(WRITER) $(READER)) \
		$(wildcard tests/*/*_invariants.[ch] tests/cli/elf/*_invariants.[ch] tests/fuzz/seeds.h)
	@mkdir -p $(@D)/corpus.$*; echo "  FUZZ $@"
	$(Q)$(FUZZ) -Wl,--allow-multiple-definition -o $@ $< $(FUZZ_$*)

fuzz: $(addprefix $(B)/fuzz/,$(FUZZERS)) ## fuzz readers of settings, ledgers, programs, FUZZ_SECONDS (60) each
	$(Q)for f in $(FUZZERS); do $(B)/fuzz/$$f -max_total_time=$(FUZZ_SECONDS) -timeout=5 -print_final_stats=1 \
		-max_len=65536 -artifact_prefix=$(B)/fuzz/ $(B)/fuzz/corpus.$$f \
		$$(ls -d tests/fuzz/corpus/$$f 2>/dev/null) || exit 1; done

.PHONY: fuzz
