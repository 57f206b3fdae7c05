/* The length of an x86-64 instruction: prefixes, opcode, ModRM with SIB and displacement, immediate. What cannot be
 * decoded has none. */
#include "cli/elf/elf.h"

#include <string.h>

/* What follows each opcode, a character each:
 *   . nothing        m ModRM             x no instruction     p prefix
 *   b imm8           B ModRM + imm8      w imm16              e imm16 + imm8
 *   z imm16/32       Z ModRM + imm16/32  j imm32              v imm16/32/64
 *   a address        t ModRM, and an imm8 if it is a test     T the same with imm16/32 */
static const char one_byte[] = "mmmmbzxxmmmmbzxx"
                               "mmmmbzxxmmmmbzxx"
                               "mmmmbzpxmmmmbzpx"
                               "mmmmbzpxmmmmbzpx"
                               "pppppppppppppppp"
                               "................"
                               "xxxmppppzZbB...."
                               "bbbbbbbbbbbbbbbb"
                               "BZxBmmmmmmmmmmmm"
                               "..........x....."
                               "aaaa....bz......"
                               "bbbbbbbbvvvvvvvv"
                               "BBw.xxBZe.w..bx."
                               "mmmmxxx.mmmmmmmm"
                               "bbbbbbbbjjxb...."
                               "p.pp..tT......mm";
static const char two_byte[] = "mmmmx.....x.xm.B"
                               "mmmmmmmmmmmmmmmm"
                               "mmmmxxxxmmmmmmmm"
                               "........xxxxxxxx"
                               "mmmmmmmmmmmmmmmm"
                               "mmmmmmmmmmmmmmmm"
                               "mmmmmmmmmmmmmmmm"
                               "BBBBmmm.mmmmmmmm"
                               "jjjjjjjjjjjjjjjj"
                               "mmmmmmmmmmmmmmmm"
                               "...mBmmm...mBmmm"
                               "mmmmmmmmmmBmmmmm"
                               "mmBmBBBm........"
                               "mmmmmmmmmmmmmmmm"
                               "mmmmmmmmmmmmmmmm"
                               "mmmmmmmmmmmmmmmm";

struct reader {
    const uint8_t *code;
    size_t at, size;
    bool short_operand, short_address, wide; /* 0x66, 0x67, REX.W */
};

static int next(struct reader *r) {
    return r->at < r->size ? r->code[r->at++] : -1;
}

/* Which instruction it is, past all prefixes: its character, 0 for none. */
static char kind(struct reader *r) {
    int byte = next(r);
    for (; byte >= 0 && one_byte[byte] == 'p'; byte = next(r)) {
        r->short_operand |= byte == 0x66;
        r->short_address |= byte == 0x67;
        r->wide = byte >= 0x48 && byte <= 0x4f; /* a REX counts only just before the opcode */
    }
    const uint8_t after = r->at < r->size ? r->code[r->at] : 0;
    int map = 0, skip = 0;
    if (byte == 0xc5) /* VEX and EVEX say themselves which map the opcode is of, and XOP, which shares pop's 0x8f */
        map = 1, skip = 1;
    else if (byte == 0xc4 || byte == 0x62 || (byte == 0x8f && (after & 31) >= 8))
        map = byte == 0x62 ? after & 7 : after & 31, skip = byte == 0x62 ? 3 : 2;
    else if (byte == 0x0f)
        map = after == 0x38 ? 2 : after == 0x3a ? 3 : 1, skip = map > 1;
    else
        return byte < 0 ? 0 : one_byte[byte];
    r->at += (size_t)skip;
    const int opcode = next(r);
    if (opcode < 0)
        return 0;
    switch (map) {
    case 1: return two_byte[opcode];
    case 3:
    case 8: return 'B';
    case 10: r->at += 4; return 'm';
    default: return 'm';
    }
}

/* ModRM, and what it says that follows. */
static int modrm(struct reader *r) {
    const int byte = next(r), mod = byte >> 6, rm = byte & 7;
    if (byte < 0 || mod == 3)
        return byte;
    const int base = rm == 4 ? next(r) & 7 : rm;
    r->at += mod == 1 ? 1 : mod == 2 || base == 5 ? 4 : 0;
    return byte;
}

size_t af_x86_length(const uint8_t *code, size_t size) {
    struct reader r = { .code = code, .size = size };
    const char what = kind(&r);
    if (!what || what == 'x' || what == 'p')
        return 0;
    const int byte = strchr("mBZtT", what) ? modrm(&r) : 0;
    if (byte < 0)
        return 0;
    const size_t z = r.short_operand && !r.wide ? 2 : 4;
    const bool test = (byte & 0x30) == 0;
    switch (what) {
    case 'b':
    case 'B': r.at += 1; break;
    case 't': r.at += test ? 1 : 0; break;
    case 'w': r.at += 2; break;
    case 'e': r.at += 3; break;
    case 'z':
    case 'Z': r.at += z; break;
    case 'T': r.at += test ? z : 0; break;
    case 'j': r.at += 4; break;
    case 'v': r.at += r.wide ? 8 : z; break;
    case 'a': r.at += r.short_address ? 4 : 8; break;
    default: break;
    }
    return r.at <= size ? r.at : 0;
}
