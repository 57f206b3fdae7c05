/* What is asked: environment text -> struct af_policy -> decisions.
 *
 * Pure: no system call, no allocation, no I/O, no global state. Every function here is therefore thread-,
 * fork- and async-signal-safe. Linked into the library and into the command. */
#ifndef AFTERFIN_POLICY_H
#define AFTERFIN_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum af_key {
#define KEY(id, name, roles, fallback, values, help) AF_KEY_##id,
#include "keys.def"
#undef KEY
    AF_KEYS
};
#define AF_BIT(key) (1u << AF_KEY_##key)

enum af_role { AF_ROLE_BIND, AF_ROLE_CONNECT, AF_ROLE_LISTEN, AF_ROLES };
#define AF_IN_BIND (1u << AF_ROLE_BIND)
#define AF_IN_CONNECT (1u << AF_ROLE_CONNECT)
#define AF_IN_LISTEN (1u << AF_ROLE_LISTEN)

/* One row of keys.def. */
struct af_key_info {
    const char *name;     /* "linger" */
    const char *variable; /* "AFTERFIN_LINGER" */
    uint32_t roles;       /* AF_IN_...: where a rule may use it; 0: nowhere */
    const char *fallback; /* the default, as text */
    const char *values;
    const char *help;
};
extern const struct af_key_info af_keys[AF_KEYS];

/* Part of the same without af_keys, for the library: its pointers are relocations, paid at every exec. */
const char *af_key_name(enum af_key key);
const char *af_key_variable(enum af_key key);
const char *af_key_fallback(enum af_key key);

/* An endpoint. Addresses in network byte order; IPv4 (v4-mapped IPv6 too) in the first four bytes. */
struct af_addr {
    uint8_t ip[16];
    uint16_t port; /* host byte order */
    uint8_t v6;    /* 0: IPv4 */
    uint8_t pad;
};

enum af_linger { AF_LINGER_OFF, AF_LINGER_ACK, AF_LINGER_ACK_ALWAYS, AF_LINGER_RST, AF_LINGER_SECONDS };

/* The value of every key that acts on a socket. */
struct af_values {
    bool reuseaddr;
    bool bind_no_port;
    bool cycle;        /* port_search=cycle */
    uint8_t linger;    /* enum af_linger */
    uint16_t linger_s; /* for AF_LINGER_SECONDS */
    uint16_t port_low; /* port_range; 0: off */
    uint16_t port_high;
    uint16_t keep_idle;     /* seconds; 0: off. TCP_KEEPIDLE and TCP_KEEPINTVL: 1 to 32767, TCP_KEEPCNT: */
    uint16_t keep_interval; /* 1 to 127 (tcp(7)); 0: not given, the kernel's own stays */
    uint16_t keep_count;
    uint16_t syn_retries;     /* TCP_SYNCNT: 1 to 127; 0: off */
    uint16_t pad;             /* compared as bytes */
    uint32_t user_timeout_ms; /* 0: off */
    uint32_t source;          /* its first range in af_policy.sources, plus 1; 0: off */
    uint32_t n_sources;       /* how many ranges */
};

/* Local addresses from one to another, of one family. */
struct af_source {
    uint8_t ip[16]; /* the first, as in struct af_addr */
    uint32_t n;
    uint32_t v6;
};
enum { AF_MOST_SOURCES = 1 << 24 }; /* addresses of one family in one value */

struct af_rule {
    uint8_t role;   /* enum af_role */
    uint8_t any;    /* TARGET is * or :PORTS: every address of either family */
    uint8_t v6;     /* else: family of ip */
    uint8_t prefix; /* bits of ip that must match */
    uint8_t ip[16];
    uint16_t port_low, port_high; /* 0-65535 where no PORTS were given */
    uint32_t named;               /* AF_BIT(...) of the keys it names */
    struct af_values values;
};

/* The rules of one role again, in the form in which they are gone through (match.c). */
struct af_index {
    const struct af_match4 *v4;
    const struct af_match6 *v6;
    uint32_t n4, n6;
    uint32_t named; /* AF_BIT(...) of the keys that any of them names */
};

enum af_sink { AF_SINK_OFF, AF_SINK_STDERR, AF_SINK_STDOUT, AF_SINK_FILE };
enum af_ledger_where { AF_LEDGER_OFF, AF_LEDGER_DEFAULT, AF_LEDGER_DIRECTORY };

/* All settings. The strings point into the text given to af_policy_parse; NULL where unset. */
struct af_policy {
    struct af_values values;
    uint32_t set; /* AF_BIT(...) of the variables that were set and not empty */
    bool override, strict;
    bool closed;             /* set=off */
    bool json;               /* log_format=json */
    uint8_t log;             /* enum af_sink */
    uint8_t ledger;          /* enum af_ledger_where */
    uint32_t log_interval_s; /* 0: off */
    const char *log_path;    /* for AF_SINK_FILE, with its % still in */
    const char *ledger_dir;  /* for AF_LEDGER_DIRECTORY */
    const char *only, *skip; /* comma-separated, as given */
    const char *rules_text;  /* as given */
    const struct af_rule *rules;
    size_t n_rules;
    const struct af_source *sources; /* of the variable and of the rules */
    struct af_index index[AF_ROLES];
};

/* One line, without newline: variable, value, place in it, what was expected. Never longer than its room:
 * a long value is shown around the place, with "..." where it was cut. */
struct af_error {
    char text[512];
};

/* Is "AFTERFIN_NAME=VALUE" none of ours, but what Kubernetes and Docker's links put into each container beside a service
 * that is called afterfin: AFTERFIN_SERVICE_*, _PORT, _PORT_<digits>_*, _NAME, _ENV_*? */
bool af_policy_is_injected(const char *setting);

/* What the parser is given beside the settings: room for what a policy holds beside itself, and the file of rules. */
struct af_input {
    void *room; /* aligned for 8 bytes; to outlive the policy */
    size_t size;
    const char
        *file; /* the text of the file that AFTERFIN_RULES names; NULL: it names none, or file_error says why not */
    size_t file_size;
    int file_error; /* an errno; EISDIR: it is no regular file, EFBIG: larger than AF_RULES_FILE_MAX */
};
enum { AF_RULES_FILE_MAX = 1 << 20 };

/* The file that AFTERFIN_RULES names, which whoever parses has to read; NULL: none. */
const char *af_policy_rules_file(const char *const *settings);
/* How many bytes of room these settings, and the file, can need at most. */
size_t af_policy_room(const char *const *settings, const struct af_input *given);

/* Parse settings: a NULL-terminated list of "AFTERFIN_NAME=VALUE" strings, others in it are ignored (so
 * environ itself will do). The last of several settings of one name decides. An empty value is an unset
 * variable; an unknown AFTERFIN_ name is an error, an injected one is passed over. The room and the strings must
 * outlive *p. False: *error is filled, and *p holds no policy at all (watching, nothing asked),
 * save p->strict, which is still what AFTERFIN_STRICT says. */
bool af_policy_parse(struct af_policy *p, const char *const *settings, const struct af_input *given,
                     struct af_error *error);

/* Is the program of this name touched at all (only, skip)? */
bool af_policy_touches(const struct af_policy *p, const char *program);

/* Could any socket be treated otherwise than bare: is some policy key, in a variable or a rule, not its
 * default? (Log and ledger are no policy.) */
bool af_policy_acts(const struct af_policy *p);

/* Does what is to be done with a socket in this role depend on its address: is there a rule for the role, or a key that
 * looks at it (bind: at the port; source: at the family)? */
bool af_policy_asks_address(const struct af_policy *p, enum af_role role);

/* Is this value of linger asked for, in a variable or a rule? */
bool af_policy_lingers(const struct af_policy *p, enum af_linger linger);

/* The values in force for a socket in this role at this address: first matching rule that names the key,
 * then the variable, then the default. Keys that do not belong to the role come back as their defaults. */
void af_policy_decide(const struct af_policy *p, enum af_role role, const struct af_addr *addr, struct af_values *out);

/* source: how many addresses of this family there are to start from, and the i-th of them, with port 0. */
uint32_t af_policy_count_sources(const struct af_policy *p, const struct af_values *values, bool v6);
void af_policy_source(const struct af_policy *p, const struct af_values *values, bool v6, uint32_t i,
                      struct af_addr *out);
/* 0.0.0.0 or ::? */
bool af_addr_is_any(const struct af_addr *addr);

/* From sockaddr to af_addr; v4-mapped becomes IPv4. False where it is neither AF_INET nor AF_INET6 or too
 * short (16 and 24 bytes: the kernel's own SIN6_LEN_RFC2133). */
bool af_addr_from(const struct sockaddr *sa, socklen_t len, struct af_addr *out);

/* "10.0.0.5:443", "[2001:db8::1]:443" (RFC 5952) with a terminating NUL; returns its length. */
#define AF_ADDR_TEXT 56
size_t af_addr_text(const struct af_addr *addr, char out[AF_ADDR_TEXT]);

/* A TARGET as in a rule ("10.0.0.0/8:5432"), into role-less *rule; used by `who --peer` and `reap --peer`.
 * False: *why says what was expected, *at is the offset into text. */
bool af_target_parse(const char *text, size_t len, struct af_rule *rule, const char **why, size_t *at);
bool af_target_matches(const struct af_rule *rule, const struct af_addr *addr);

/* One setsockopt. */
struct af_option {
    int level, name;
    uint32_t size; /* of value: an int, or a struct linger */
    union {
        int number;
        struct linger linger;
    } value;
};
#define AF_OPTIONS_MAX 9

/* The calls that bring `values` about in this role, in order; returns how many. `own` is AF_BIT(...) of the
 * keys whose options the program has set itself: left out, unless `override`. BIND: reuseaddr for
 * a non-zero `port`, bind_no_port for port 0. CONNECT and LISTEN: linger ack, ack-always and SECONDS (rst is the close's
 * business; with override and an SO_LINGER of the program's own, ack first turns that off), keepalive,
 * user_timeout; CONNECT also syn_retries, and port_range, unless cycle, which sets its own windows. */
unsigned af_policy_options(const struct af_values *values, enum af_role role, uint16_t port, uint32_t own,
                           bool override, struct af_option out[AF_OPTIONS_MAX]);

/* The key that owns a socket option, for noticing the program's own choices: SO_LINGER and TCP_LINGER2 ->
 * AF_KEY_LINGER, SO_BINDTODEVICE -> AF_KEY_SOURCE, ...; AF_KEYS where none does. */
enum af_key af_policy_key_of(int level, int name);

#endif
