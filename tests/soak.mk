# The soak test: a short dose of it is in `make check`, the whole is here.

SOAK_CONNECTIONS ?= 1000000
SOAK_PROCESSES ?= 200
SOAK_SEED ?= 1
SOAK = SOAK_CONNECTIONS=$(SOAK_CONNECTIONS) SOAK_PROCESSES=$(SOAK_PROCESSES) SOAK_SEED=$(SOAK_SEED)

$(B)/tests/check: $(addprefix $(B)/obj/tests/,test_soak.o soak_peer.o soak_watch.o soak_sum.o)
check: $(B)/tests/victims/soak_tree

soak: all $(B)/tests/check $(addprefix $(B)/tests/victims/,$(VICTIMS) soak_tree) ## what takes minutes: a million connections, TIME_WAITs that really expire
	$(Q)AFTERFIN_SOAK=1 $(SOAK) $(B)/tests/check -j1 --filter 'soak/*'

.PHONY: soak
