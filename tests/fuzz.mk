# libFuzzer over what comes from outside: settings, ledgers, programs; with the address and undefined-behaviour
# sanitizers.

FUZZ_SECONDS ?= 60
FUZZ = clang $(filter-out -MMD -MP,$(BASE)) -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
FUZZ_policy = tests/fuzz_policy.c tests/policy_invariants.c $(POLICY:.o=.c)
FUZZ_elf = $(addprefix tests/,fuzz_elf.c elf_invariants.c) $(addprefix cli/,elf.c elf_dynamic.c elf_code.c x86.c \
	memory.c say.c)
FUZZ_reader = tests/fuzz_reader.c tests/reader_invariants.c $(READER:.o=.c) ledger/writer.c policy/address.c \
	policy/span.c $(addprefix cli/,collect.c endpoints.c settle.c settle_live.c diag.c memory.c say.c) -lmnl
$(B)/fuzz/%: $(addprefix $(B)/obj/,$(POLICY) $(LEDGER) $(CLI) $(READER)) $(wildcard tests/fuzz_*.c tests/*_invariants.c)
	@mkdir -p $(@D)/corpus.$*; echo "  FUZZ $@"
	$(Q)$(FUZZ) -o $@ $(FUZZ_$*)

fuzz: $(addprefix $(B)/fuzz/,policy reader elf) ## fuzz readers of settings, ledgers, programs, FUZZ_SECONDS (60) each
	$(Q)for f in policy reader elf; do $(B)/fuzz/$$f -max_total_time=$(FUZZ_SECONDS) -timeout=5 -print_final_stats=1 \
		-max_len=65536 -artifact_prefix=$(B)/fuzz/ $(B)/fuzz/corpus.$$f $$(ls -d tests/corpus/$$f 2>/dev/null) || exit 1; done

.PHONY: fuzz
