/* RFC 6455 on the wire, as little of it as the load generator and the C echo server share.
 *
 * Accept key (section 4.2.2), frame headers (section 5.2), masking (section 5.3).
 */
#ifndef WIRE_H
#define WIRE_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { OP_CONTINUATION = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

#define HEADER_MAX 14 /* 2 + 8 bytes of length + 4 of mask */
#define ACCEPT_LENGTH 28
#define WEBSOCKET_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

static uint32_t rotate_left(uint32_t value, int bits) { return value << bits | value >> (32 - bits); }

static void sha1_block(uint32_t state[5], const uint8_t *block) {
    uint32_t w[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (int i = 0; i < 16; i++) {
        uint32_t word;
        memcpy(&word, block + 4 * i, 4);
        w[i] = be32toh(word);
    }
    for (int i = 16; i < 80; i++) w[i] = rotate_left(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
        uint32_t f, k;
        if (i < 20) f = (b & c) | (~b & d), k = 0x5A827999;
        else if (i < 40) f = b ^ c ^ d, k = 0x6ED9EBA1;
        else if (i < 60) f = (b & c) | (b & d) | (c & d), k = 0x8F1BBCDC;
        else f = b ^ c ^ d, k = 0xCA62C1D6;
        uint32_t next = rotate_left(a, 5) + f + e + k + w[i];
        e = d, d = c, c = rotate_left(b, 30), b = a, a = next;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
}

/* SHA-1 (FIPS 180-4) of at most 119 bytes: a key and the GUID are 60. */
static void sha1(const uint8_t *data, size_t length, uint8_t digest[20]) {
    uint32_t state[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    uint8_t padded[128] = {0};
    size_t blocks = length + 9 <= 64 ? 1 : 2;
    memcpy(padded, data, length);
    padded[length] = 0x80;
    uint64_t bits = htobe64((uint64_t)length * 8);
    memcpy(padded + blocks * 64 - 8, &bits, 8);
    for (size_t i = 0; i < blocks; i++) sha1_block(state, padded + 64 * i);
    for (int i = 0; i < 5; i++) {
        uint32_t word = htobe32(state[i]);
        memcpy(digest + 4 * i, &word, 4);
    }
}

static size_t base64(const uint8_t *data, size_t length, char *out) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t o = 0;
    for (size_t i = 0; i < length; i += 3) {
        uint32_t group = (uint32_t)data[i] << 16;
        if (i + 1 < length) group |= (uint32_t)data[i + 1] << 8;
        if (i + 2 < length) group |= data[i + 2];
        out[o++] = digits[group >> 18];
        out[o++] = digits[group >> 12 & 63];
        out[o++] = i + 1 < length ? digits[group >> 6 & 63] : '=';
        out[o++] = i + 2 < length ? digits[group & 63] : '=';
    }
    return o;
}

/* Sec-WebSocket-Accept for a 24-character key; writes ACCEPT_LENGTH characters, no terminator. */
static void accept_key(const char *key, size_t key_length, char *out) {
    uint8_t text[96], digest[20];
    if (key_length > 48) key_length = 48;
    memcpy(text, key, key_length);
    memcpy(text + key_length, WEBSOCKET_GUID, sizeof WEBSOCKET_GUID - 1);
    sha1(text, key_length + sizeof WEBSOCKET_GUID - 1, digest);
    base64(digest, sizeof digest, out);
}

/* Header of an unfragmented frame; mask is NULL on the server's side. Returns its length. */
static size_t put_header(uint8_t *out, int opcode, size_t length, const uint8_t *mask) {
    uint8_t masked = mask ? 0x80 : 0;
    size_t n = 2;
    out[0] = 0x80 | opcode;
    if (length < 126) {
        out[1] = masked | length;
    } else if (length < 65536) {
        uint16_t big = htobe16(length);
        out[1] = masked | 126;
        memcpy(out + 2, &big, 2);
        n = 4;
    } else {
        uint64_t big = htobe64(length);
        out[1] = masked | 127;
        memcpy(out + 2, &big, 8);
        n = 10;
    }
    if (mask) {
        memcpy(out + n, mask, 4);
        n += 4;
    }
    return n;
}

/* XOR with the mask, whose byte `phase` meets data[0]; out may be data. Eight bytes a step. */
static void apply_mask(uint8_t *out, const uint8_t *data, size_t length, const uint8_t mask[4], size_t phase) {
    uint8_t turned[8];
    for (int i = 0; i < 8; i++) turned[i] = mask[(phase + i) & 3];
    uint64_t wide, word;
    memcpy(&wide, turned, 8);
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        memcpy(&word, data + i, 8);
        word ^= wide;
        memcpy(out + i, &word, 8);
    }
    for (; i < length; i++) out[i] = data[i] ^ turned[i & 7];
}

#endif
