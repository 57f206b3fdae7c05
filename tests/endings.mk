# The table of endings: 20 times over in `make check`, 1,000 times here.

TIMES ?= 1000

$(B)/tests/check: $(addprefix $(B)/obj/tests/,ending_rows.o ending_rows_tree.o test_endings.o)

endings: all $(B)/tests/check $(addprefix $(B)/tests/victims/,$(VICTIMS) $(WAY_VICTIMS)) ## every way to end a connection, 1,000 times over
	$(Q)TIMES=$(TIMES) $(B)/tests/check -j2 --filter 'endings/*'

.PHONY: endings
