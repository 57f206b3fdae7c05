/* Variables into settings: every value of every key, what is an error, and how errors read. */
#include "tests/policy/parsed.h"

Test(policy_parse, nothing_set_is_nothing_asked) {
    static const char *const rows[][3] = {
        { NULL },
        { "PATH=/bin", "HOME=/" },
        { "AFTERFIN=1", "AFTERFINE_LINGER=ack" },
        { "XAFTERFIN_LINGER=ack", "afterfin_linger=ack" },
        { "BFTERFIN_LINGER=ack", "AFTERFIN LINGER=ack" },
        { "AFTERFIN_LINGER", "AFTERFIN_NONSENSE" }, /* no `=`: no setting */
        { "AFTERFIN_LINGER=", "AFTERFIN_RULES=" },
        { "AFTERFIN_NONSENSE=", "" },
        { "AFTERFIN_LINGER=ack", "AFTERFIN_LINGER=" }, /* the last decides */
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct parsed r;
        parse_list(&r, rows[i]);
        cr_expect(r.ok, "%s: %s", rows[i][0], r.error.text);
        cr_expect(!r.p.strict, "%s", rows[i][0]);
        expect_nothing_asked(&r.p, rows[i][0] ? rows[i][0] : "no settings");
    }
}

Test(policy_parse, each_value_of_a_policy_key_is_understood) {
    static const struct {
        const char *setting;
        struct af_values values;
    } rows[] = {
        { "AFTERFIN_REUSEADDR=on", { .reuseaddr = true } },
        { "AFTERFIN_REUSEADDR=off", { 0 } },
        { "AFTERFIN_BIND_NO_PORT=on", { .bind_no_port = true } },
        { "AFTERFIN_BIND_NO_PORT=off", { 0 } },
        { "AFTERFIN_LINGER=off", { 0 } },
        { "AFTERFIN_LINGER=ack", { .linger = AF_LINGER_ACK } },
        { "AFTERFIN_LINGER=ack-always", { .linger = AF_LINGER_ACK_ALWAYS } },
        { "AFTERFIN_LINGER=rst", { .linger = AF_LINGER_RST } },
        { "AFTERFIN_LINGER=1", { .linger = AF_LINGER_SECONDS, .linger_s = 1 } },
        { "AFTERFIN_LINGER=010", { .linger = AF_LINGER_SECONDS, .linger_s = 10 } },
        { "AFTERFIN_LINGER=65535", { .linger = AF_LINGER_SECONDS, .linger_s = 65535 } },
        { "AFTERFIN_SYN_RETRIES=off", { 0 } },
        { "AFTERFIN_SYN_RETRIES=1", { .syn_retries = 1 } },
        { "AFTERFIN_SYN_RETRIES=127", { .syn_retries = 127 } },
        { "AFTERFIN_PORT_RANGE=off", { 0 } },
        { "AFTERFIN_PORT_RANGE=1-65535", { .port_low = 1, .port_high = 65535 } },
        { "AFTERFIN_PORT_RANGE=40000-40000", { .port_low = 40000, .port_high = 40000 } },
        { "AFTERFIN_PORT_SEARCH=kernel", { 0 } },
        { "AFTERFIN_PORT_SEARCH=cycle", { .cycle = true } },
        { "AFTERFIN_KEEPALIVE=off", { 0 } },
        { "AFTERFIN_KEEPALIVE=1", { .keep_idle = 1 } },
        { "AFTERFIN_KEEPALIVE=32767:32766", { .keep_idle = 32767, .keep_interval = 32766 } },
        { "AFTERFIN_KEEPALIVE=60:32767:127", { .keep_idle = 60, .keep_interval = 32767, .keep_count = 127 } },
        { "AFTERFIN_KEEPALIVE=60:1:1", { .keep_idle = 60, .keep_interval = 1, .keep_count = 1 } },
        { "AFTERFIN_USER_TIMEOUT=off", { 0 } },
        { "AFTERFIN_USER_TIMEOUT=1ms", { .user_timeout_ms = 1 } },
        { "AFTERFIN_USER_TIMEOUT=30s", { .user_timeout_ms = 30000 } },
        { "AFTERFIN_USER_TIMEOUT=2147483s", { .user_timeout_ms = 2147483000 } },
        { "AFTERFIN_USER_TIMEOUT=2147483647ms", { .user_timeout_ms = 2147483647 } },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct parsed r;
        PARSE(&r, rows[i].setting);
        cr_assert(r.ok, "%s: %s", rows[i].setting, r.error.text);
        cr_expect(memcmp(&r.p.values, &rows[i].values, sizeof r.p.values) == 0, "%s", rows[i].setting);
        cr_expect(__builtin_popcount(r.p.set) == 1, "%s: marked as set", rows[i].setting);
        cr_expect(af_policy_acts(&r.p) == (!all_zero(&rows[i].values)), "%s: acts", rows[i].setting);
    }
}

Test(policy_parse, each_place_to_write_to_is_understood) {
    static const struct {
        const char *setting;
        int log, ledger;
        const char *path;
        uint32_t interval;
        bool json;
    } rows[] = {
        { "AFTERFIN_LOG=off", AF_SINK_OFF, AF_LEDGER_OFF, NULL, 60, false },
        { "AFTERFIN_LOG=stderr", AF_SINK_STDERR, AF_LEDGER_OFF, NULL, 60, false },
        { "AFTERFIN_LOG=stdout", AF_SINK_STDOUT, AF_LEDGER_OFF, NULL, 60, false },
        { "AFTERFIN_LOG=/tmp/a%p-%n-%%.log", AF_SINK_FILE, AF_LEDGER_OFF, "/tmp/a%p-%n-%%.log", 60, false },
        { "AFTERFIN_LOG=/with space", AF_SINK_FILE, AF_LEDGER_OFF, "/with space", 60, false },
        { "AFTERFIN_LOG_FORMAT=logfmt", AF_SINK_OFF, AF_LEDGER_OFF, NULL, 60, false },
        { "AFTERFIN_LOG_FORMAT=json", AF_SINK_OFF, AF_LEDGER_OFF, NULL, 60, true },
        { "AFTERFIN_LOG_INTERVAL=1", AF_SINK_OFF, AF_LEDGER_OFF, NULL, 1, false },
        { "AFTERFIN_LOG_INTERVAL=2147483647", AF_SINK_OFF, AF_LEDGER_OFF, NULL, 2147483647, false },
        { "AFTERFIN_LOG_INTERVAL=off", AF_SINK_OFF, AF_LEDGER_OFF, NULL, 0, false },
        { "AFTERFIN_LEDGER=off", AF_SINK_OFF, AF_LEDGER_OFF, NULL, 60, false },
        { "AFTERFIN_LEDGER=no", AF_SINK_OFF, AF_LEDGER_OFF, NULL, 60, false },
        { "AFTERFIN_LEDGER=on", AF_SINK_OFF, AF_LEDGER_DEFAULT, NULL, 60, false },
        { "AFTERFIN_LEDGER=1", AF_SINK_OFF, AF_LEDGER_DEFAULT, NULL, 60, false },
        { "AFTERFIN_LEDGER=/var/lib/x", AF_SINK_OFF, AF_LEDGER_DIRECTORY, "/var/lib/x", 60, false },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct parsed r;
        PARSE(&r, rows[i].setting);
        cr_assert(r.ok, "%s: %s", rows[i].setting, r.error.text);
        const char *path = r.p.log == AF_SINK_FILE ? r.p.log_path : r.p.ledger_dir;
        cr_expect(r.p.log == rows[i].log && r.p.ledger == rows[i].ledger, "%s: where", rows[i].setting);
        cr_expect(!path == !rows[i].path && (!path || strcmp(path, rows[i].path) == 0), "%s: path", rows[i].setting);
        cr_expect(r.p.log_interval_s == rows[i].interval && r.p.json == rows[i].json, "%s: how", rows[i].setting);
        cr_expect(!af_policy_acts(&r.p), "%s: log and ledger are no policy", rows[i].setting);
    }
}

Test(policy_parse, a_boolean_has_four_words_each_way) {
    static const char *const words[2][4] = { { "off", "0", "no", "false" }, { "on", "1", "yes", "true" } };
    static const char *const keys[] = { "REUSEADDR", "BIND_NO_PORT", "OVERRIDE", "STRICT", "SET" };
    for (size_t k = 0; k < ROWS(keys); k++)
        for (int i = 0; i < 8; i++) {
            char setting[64];
            struct parsed r;
            snprintf(setting, sizeof setting, "AFTERFIN_%s=%s", keys[k], words[i / 4][i % 4]);
            PARSE(&r, setting);
            const bool got[] = { r.p.values.reuseaddr, r.p.values.bind_no_port, r.p.override, r.p.strict, !r.p.closed };
            cr_expect(r.ok, "%s: %s", setting, r.error.text);
            cr_expect(got[k] == (i >= 4), "%s", setting);
        }
}

Test(policy_parse, each_default_in_the_list_of_keys_is_what_an_unset_key_is) {
    struct parsed r;
    for (int k = 0; k < AF_KEYS; k++) {
        char setting[128];
        snprintf(setting, sizeof setting, "%s=%s", af_keys[k].variable, af_keys[k].fallback);
        PARSE(&r, setting);
        cr_assert(r.ok, "%s: %s", setting, r.error.text);
        r.p.set = 0;
        expect_nothing_asked(&r.p, setting);
        cr_expect(!r.p.strict, "%s", setting);
    }
}

Test(policy_parse, each_word_in_the_list_of_keys_parses_and_each_key_has_an_example) {
    for (int k = 0; k < AF_KEYS; k++) {
        char values[128], setting[192], *save = NULL;
        bool shown = false;
        snprintf(values, sizeof values, "%s", af_keys[k].values);
        for (char *word = strtok_r(values, ", ", &save); word; word = strtok_r(NULL, ", ", &save)) {
            struct parsed r;
            if (strpbrk(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ.")) /* stands for something */
                continue;
            snprintf(setting, sizeof setting, "%s=%s", af_keys[k].variable, word);
            PARSE(&r, setting);
            cr_expect(r.ok, "%s: %s", setting, r.error.text);
        }
        for (size_t i = 0; i < ROWS(policy_examples); i++) {
            size_t n = strlen(af_keys[k].variable);
            shown |= strncmp(policy_examples[i], af_keys[k].variable, n) == 0 && policy_examples[i][n] == '=';
        }
        cr_expect(shown, "%s", af_keys[k].name);
    }
    for (size_t i = 0; i < ROWS(policy_examples); i++) {
        struct parsed r;
        PARSE(&r, policy_examples[i]);
        cr_expect(r.ok, "%s", r.error.text);
    }
}

Test(policy_parse, a_key_goes_by_one_name_everywhere) {
    for (int k = 0; k < AF_KEYS; k++) {
        char variable[64] = "AFTERFIN_";
        for (size_t i = 0; i <= strlen(af_keys[k].name); i++)
            variable[9 + i] = (char)(af_keys[k].name[i] == '_' ? '_' : af_keys[k].name[i] & ~0x20);
        cr_expect_str_eq(af_keys[k].variable, variable);
        cr_expect(*af_keys[k].help, "%s", variable);
        cr_expect_str_eq(af_key_name((enum af_key)k), af_keys[k].name);
        cr_expect_str_eq(af_key_variable((enum af_key)k), variable);
        cr_expect_str_eq(af_key_fallback((enum af_key)k), af_keys[k].fallback);
    }
}

Test(policy_parse, the_last_of_several_settings_decides) {
    struct parsed r;
    PARSE(&r, "AFTERFIN_LINGER=nonsense", "AFTERFIN_LINGER=ack", "AFTERFIN_LINGER=rst");
    cr_assert(r.ok, "%s", r.error.text);
    cr_expect(r.p.values.linger == AF_LINGER_RST);
    PARSE(&r, "AFTERFIN_RULES=bind * reuseaddr=on; bind * reuseaddr=off", "AFTERFIN_RULES=connect * linger=ack");
    cr_assert(r.ok, "%s", r.error.text);
    cr_expect(r.p.n_rules == 1 && r.p.rules[0].role == AF_ROLE_CONNECT);
    cr_expect_str_eq(r.p.rules_text, "connect * linger=ack");
}

Test(policy_parse, settings_are_taken_from_among_others) {
    struct parsed r;
    PARSE(&r, "PATH=/bin", "AFTERFIN_LINGER=5", "TERM=xterm", "AFTERFIN_OVERRIDE=on", "");
    cr_assert(r.ok, "%s", r.error.text);
    cr_expect(r.p.values.linger_s == 5 && r.p.override);
    cr_expect(r.p.set == (AF_BIT(LINGER) | AF_BIT(OVERRIDE)));
}
