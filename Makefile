# afterfin: `make` builds, `make help` lists the rest. V=1 shows the commands.

PREFIX ?= /usr/local
DESTDIR ?=
CC ?= gcc
CFLAGS ?= -O2 -g
WARN = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
ifneq ($(CI),)
WARN += -Werror
endif
BASE = -std=gnu11 -D_GNU_SOURCE -I. -MMD -MP $(WARN)
Q = $(if $(V),,@)

B = build
POLICY = $(addprefix policy/,parse.o rules.o target.o values.o names.o address.o span.o error.o decide.o keys.o)
LEDGER = ledger/writer.o
READER = ledger/reader.o ledger/histogram.o
# In the order in which a start needs them: what it does not touch costs it no page. Large tables are last.
SHIM = $(addprefix shim/,start.o resolve.o string.o calls.o log.o inherit.o line.o text.o output.o seal.o close.o process.o \
	variadic.o syscall.o vfork.o apply.o search.o settle.o open.o local.o options.o dup.o message.o pointer.o spawn.o \
	memory.o track.o)
CLI = $(addprefix cli/,commands.o help.o options.o say.o memory.o text.o table.o settings.o preload.o reach.o \
	elf.o child.o alive.o place.o collect.o diag.o settle.o settle_live.o sample.o confirm.o result.o watched.o run.o stats.o compare.o compare_round.o compare_measure.o compare_print.o \
	compare_json.o compare_plot.o endpoints.o place_users.o \
	run_table.o run_json.o env.o json.o tidy.o netns.o netns_new.o owners.o who.o who_table.o who_json.o output.o report.o \
	report_log.o report_sum.o report_print.o report_metrics.o past.o ports.o filter.o sockstat.o reap.o reap_round.o \
	reap_watch.o reap_where.o reap_print.o)
CLI_TESTS = $(addprefix tests/,fabricate.o command.o test_reader.o test_run.o test_run_signals.o \
	test_run_result.o test_reach.o test_env.o test_cli.o test_settle.o test_ledger.o test_ledger_loss.o \
	test_ledger_file.o test_sample.o test_who.o test_who_where.o test_report.o test_report_write.o \
	test_report_past.o test_report_ports.o reader_invariants.o test_hostile.o test_histogram.o test_stats.o \
	test_compare.o test_compare_runs.o test_reap.o test_reap_safe.o test_reap_service.o)
EXAMPLES = $(addprefix tests/test_examples_,help.o files.o container.o machine.o)
CLI += $(addprefix cli/,ephemeral.o look.o top.o top_sample.o top_rows.o top_view.o top_json.o top_keys.o top_live.o \
	top_screen.o)
CLI_TESTS += $(addprefix tests/,screen.o test_ephemeral.o test_top.o test_top_asked.o test_top_rows.o test_top_live.o)
CLI += $(addprefix cli/,elf_dynamic.o elf_code.o x86.o sysctl.o doctor.o $(addprefix doctor_,machine.o settings.o \
	needs.o program.o libraries.o process.o print.o print_program.o json.o))
CLI_TESTS += $(addprefix tests/,elf_invariants.o test_elf.o test_doctor.o test_doctor_tells.o test_doctor_program.o \
	test_doctor_process.o)
HARNESS = $(addprefix tests/harness_,ns.o books.o run.o inspect.o peer.o client.o log.o)
TESTS = $(addprefix tests/test_,policy_parse.o policy_errors.o policy_rules.o policy_address.o policy_decide.o \
	policy_pure.o policy_random.o docs.o install.o) tests/policy_invariants.o
EFFECTS = $(addprefix tests/test_,linger.o linger_loss.o linger_rst.o reuseaddr.o bind_no_port.o port_range.o \
	port_search.o keepalive.o rules.o only_skip.o override.o strict.o log.o log_when.o)
COSTS = $(addprefix tests/test_,costs.o costs_start.o programs.o programs_redis.o threads.o look.o) tests/programs.o
EDGES = $(addprefix tests/test_,streams.o pointers.o other_libraries.o silence.o names.o handed_over.o sandboxes.o)
WAYS = $(addprefix tests/,harness_counts.o harness_script.o harness_rows.o $(addprefix test_,ways.o opens.o \
	counts.o tree.o inherited.o invisible.o))
VICTIMS = cycles threads_close close_odd connect_close exit_open server_close half_close fork_close exec_close close_timed connect_hold \
	accept_hold bind_many bind_steps udp_bind reuse_standard signals raw_exit kill_open descend fork_many share
WAY_VICTIMS = end_by copy_by leave_by open_by end_in accept_by inherit end_stdio cut_off part_by exec_by tree_by spawn_by pass_by \
	sandboxes hands_over into lets_go by_number own_phdr wraps.so streams show_faults connect_from \
	sealed threads storm show_sockets show_descriptors show_children overwrites late early.so daemonizes

# The library keeps its imports few: each one costs every program at its start.
SHIM_FLAGS = -fPIC -fvisibility=hidden -ftls-model=initial-exec -fno-plt -fno-stack-protector \
	-ffreestanding -fno-builtin
SHIM_LINK = -shared -nostartfiles -Wl,-Bsymbolic -Wl,-z,defs -Wl,-z,now -Wl,-soname,libafterfin.so -Wl,--version-script=shim/versions.map -Wl,--hash-style=gnu

all: $(B)/libafterfin.so $(B)/afterfin docs ## build the library, the command and its pages (the default)

$(B)/libafterfin.so: $(addprefix $(B)/pic/,$(filter-out policy/keys.o,$(POLICY)) $(LEDGER) $(SHIM))
	@echo "  LINK $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(SHIM_LINK) -o $@ $^

$(B)/afterfin: $(addprefix $(B)/obj/,cli/main.o $(CLI) $(POLICY) $(READER))
	@echo "  LINK $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lmnl -ljansson -lm -lncursesw

$(B)/obj/cli/preload.o: BASE += -DAF_LIBDIR='"$(PREFIX)/lib"'

$(B)/pic/%.o: %.c
	@mkdir -p $(@D); echo "  CC   $< (library)"
	$(Q)$(CC) $(BASE) $(CFLAGS) $(SHIM_FLAGS) -c -o $@ $<

$(B)/pic/%.o: %.S
	@mkdir -p $(@D); echo "  AS   $<"
	$(Q)$(CC) $(BASE) $(CFLAGS) -c -o $@ $<

$(B)/obj/%.o: %.c
	@mkdir -p $(@D); echo "  CC   $<"
	$(Q)$(CC) $(BASE) $(CFLAGS) -c -o $@ $<

$(B)/tests/victims/%: tests/victims/%.c
	@mkdir -p $(@D); echo "  CC   $<"
	$(Q)$(CC) $(BASE) $(CFLAGS) -pthread -o $@ $<

$(B)/tests/victims/%.so: tests/victims/%.c
	@mkdir -p $(@D); echo "  CC   $<"
	$(Q)$(CC) $(BASE) $(CFLAGS) -shared -fPIC -o $@ $<

$(B)/tests/check: $(addprefix $(B)/obj/,$(TESTS) $(EFFECTS) $(WAYS) $(EDGES) $(COSTS) $(CLI_TESTS) $(EXAMPLES) $(HARNESS) $(POLICY) $(LEDGER) \
		$(READER) $(CLI))
	@mkdir -p $(@D); echo "  LINK $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcriterion -lmnl -ljansson -lm -lncursesw

check: all $(B)/tests/check $(addprefix $(B)/tests/victims/,$(VICTIMS) $(WAY_VICTIMS)) $(B)/examples/server ## run all tests
	$(Q)$(B)/tests/check -j2 $(CHECK)

$(B)/examples/%: examples/%.c
	@mkdir -p $(@D); echo "  CC   $<"
	$(Q)$(CC) $(BASE) $(CFLAGS) -o $@ $<

demo: all $(addprefix $(B)/examples/,server legacy_client) ## a client that runs out of ports, and the cure
	$(Q)sh examples/demo.sh $(B)

include man/rules.mk bench/rules.mk tests/fuzz.mk tests/soak.mk tests/endings.mk

deps: ## install what building and testing need (apt-get, through sudo when not root)
	$(Q).ci/deps

clean: ## remove build/
	$(Q)rm -rf $(B)

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

-include $(shell find $(B) -name '*.d' 2>/dev/null)
.DELETE_ON_ERROR:
.PHONY: all check clean demo deps help
