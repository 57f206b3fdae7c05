/* A variable as a shell, docker, systemd and Kubernetes read it back. */
#include "cli/env/env.h"
#include "cli/output/text.h"

#include <stdio.h>
#include <string.h>

static bool is_plain(const char *value) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
    return value[strspn(value, plain)] == 0;
}

/* Bytes of the character at `value`; *fit: may it be printed as it is? */
static size_t next(const char *value, bool *fit) {
    uint32_t c = 0;
    size_t len = af_utf8_length(value, strnlen(value, 4), &c);
    *fit = len && af_is_fit(c);
    return len ? len : 1;
}

static bool is_fit(const char *value) {
    bool fit = true;
    while (fit && *value)
        value += next(value, &fit);
    return fit;
}

static bool is_utf8(const char *value) {
    for (size_t len; *value; value += len)
        if (!(len = af_utf8_length(value, strnlen(value, 4), NULL)))
            return false;
    return true;
}

static const char *lacks_nothing(const char *value) {
    (void)value;
    return NULL;
}

static void put_octal(const char *bytes, size_t n) {
    while (n--)
        printf("\\%03o", (unsigned char)*bytes++);
}

static void put_quoted(const char *value) {
    putchar('\'');
    for (; *value; value++)
        if (*value == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*value);
    putchar('\'');
}

/* ---- plain: NAME=VALUE, which a shell and a Dockerfile's ENV read alike; quoted only where they need it ----------- */

/* $'\n' is not for every shell, and no Dockerfile reads it. */
static const char *plain_lacks(const char *value) {
    return is_fit(value) ? NULL
                         : "control characters and what is not UTF-8 for every shell and a Dockerfile: "
                           "--format=shell has one for shells";
}

static void print_plain(const char *name, const char *value) {
    printf("%s=", name);
    if (is_plain(value))
        fputs(value, stdout);
    else
        put_quoted(value);
    putchar('\n');
}

/* ---- shell: any of POSIX, dash too -------------------------------------------------------------------------------- */

/* Which a command substitution would lose at its end is a newline: that stays as it is. */
static void print_shell(const char *name, const char *value) {
    printf("export %s='", name);
    while (*value) {
        bool fit;
        size_t len = next(value, &fit);
        if (*value == '\'') {
            fputs("'\\''", stdout);
        } else if (fit || *value == '\n') {
            fwrite(value, 1, len, stdout);
        } else {
            fputs("'\"$(printf '", stdout);
            put_octal(value, len);
            fputs("')\"'", stdout);
        }
        value += len;
    }
    puts("'");
}

/* ---- docker run --env-file: to the end of the line, as it is ------------------------------------------------------- */

static const char *docker_lacks(const char *value) {
    return strchr(value, '\n') ? "newlines: it reads each line as it is"
           : is_fit(value)     ? NULL
                               : "control characters and what is not UTF-8: it reads each line as it is";
}

static void print_docker(const char *name, const char *value) {
    printf("%s=%s\n", name, value);
}

/* ---- systemd: a drop-in (systemd.exec(5), systemd.syntax(7)) ------------------------------------------------------- */

/* What it refuses in a value: that, and code points that Unicode has set aside as no characters. */
static const char *systemd_lacks(const char *value) {
    uint32_t c;
    for (size_t len; *value; value += len) {
        len = af_utf8_length(value, strnlen(value, 4), &c);
        if (!len || (c & 0xfffe) == 0xfffe || (c >= 0xfdd0 && c <= 0xfdef))
            return "what is not UTF-8";
        if ((c < ' ' && c != '\n' && c != '\t') || c == 0x7f)
            return "control characters";
    }
    return NULL;
}

static void put_hex(const char *bytes, size_t n) {
    while (n--)
        printf("\\x%02x", (unsigned char)*bytes++);
}

static void print_systemd(const char *name, const char *value) {
    printf("Environment=\"%s=", name);
    while (*value) {
        bool fit;
        size_t len = next(value, &fit);
        if (*value == '"' || *value == '\\')
            printf("\\%c", *value);
        else if (*value == '%')
            fputs("%%", stdout);
        else if (fit)
            fwrite(value, 1, len, stdout);
        else
            put_hex(value, len);
        value += len;
    }
    puts("\"");
}

/* ---- Kubernetes: entries of a container's `env` ------------------------------------------------------------------- */

static const char *kubernetes_lacks(const char *value) {
    return is_utf8(value) ? NULL : "what is not UTF-8";
}

/* A double-quoted string of YAML 1.1 and 1.2; the kubelet replaces $(NAME), and makes one $ of two. */
static void print_kubernetes(const char *name, const char *value) {
    printf("- name: %s\n  value: \"", name);
    while (*value) {
        bool fit;
        uint32_t c = 0;
        size_t len = next(value, &fit);
        af_utf8_length(value, len, &c);
        if (*value == '"' || *value == '\\')
            printf("\\%c", *value);
        else if (*value == '$')
            fputs("$$", stdout);
        else if (fit && c != 0xfeff && c < 0xfffe)
            fwrite(value, 1, len, stdout);
        else
            printf(c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
        value += len;
    }
    puts("\"");
}

const struct af_env_format af_env_formats[] = {
    { "plain", "", plain_lacks, print_plain },
    { "shell", "", lacks_nothing, print_shell },
    { "docker", "", docker_lacks, print_docker },
    { "systemd", "[Service]\n", systemd_lacks, print_systemd },
    { "kubernetes", "env:\n", kubernetes_lacks, print_kubernetes },
    { 0 },
};
