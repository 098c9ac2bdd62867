/* AES-128, GHASH, SHA-256 and SHA-1 by the processor's own instructions, where it has them: a tenth
 * of the time that aes_gcm.py, sha256.py and community_id.py take, to the same result. Words are as
 * there: numbers whose bytes stand in network order. Sizes are in bytes, and the caller has checked
 * that all of them are there. */
#ifndef NETWATCH_INSTRUCTIONS_H
#define NETWATCH_INSTRUCTIONS_H

#include <stdint.h>
#include <string.h>

typedef unsigned long long word64;

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#include <immintrin.h>

#define NETWATCH_AES __attribute__((target("aes,pclmul,ssse3")))

static int netwatch_has_aes(void) {
    return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul") &&
           __builtin_cpu_supports("ssse3");
}

/* Four words from network order to the order of memory, or back. */
NETWATCH_AES static inline __m128i netwatch_turn(__m128i words) {
    return _mm_shuffle_epi8(
        words, _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
}

NETWATCH_AES static inline void netwatch_aes_key(const uint32_t *rounds, __m128i *key) {
    for (int i = 0; i < 11; i++)
        key[i] = netwatch_turn(_mm_loadu_si128((const __m128i *)(rounds + 4 * i)));
}

NETWATCH_AES static inline __m128i netwatch_aes_block(const __m128i *key, __m128i block) {
    block = _mm_xor_si128(block, key[0]);
    for (int i = 1; i < 10; i++)
        block = _mm_aesenc_si128(block, key[i]);
    return _mm_aesenclast_si128(block, key[10]);
}

/* Encrypts a block of four words in place; `rounds` are the 44 words of the expanded key. */
NETWATCH_AES static void netwatch_aes(const uint32_t *rounds, uint32_t *block) {
    __m128i key[11];
    netwatch_aes_key(rounds, key);
    __m128i done = netwatch_aes_block(key, netwatch_turn(_mm_loadu_si128((__m128i *)block)));
    _mm_storeu_si128((__m128i *)block, netwatch_turn(done));
}

/* Counter mode from block 2 on; block 1, encrypted, is left in `first`. */
NETWATCH_AES static void netwatch_aes_counter(const uint32_t *rounds, const uint32_t *nonce,
                                              const uint8_t *in, uint8_t *out, long size,
                                              uint32_t *first) {
    __m128i key[11];
    uint8_t last[16] = {0};
    uint32_t number = 1;
    netwatch_aes_key(rounds, key);
    first[0] = nonce[0];
    first[1] = nonce[1];
    first[2] = nonce[2];
    first[3] = number;
    netwatch_aes(rounds, first);
    for (; size > 0; size -= 16, in += 16, out += 16) {
        __m128i block = _mm_set_epi32((int)++number, (int)nonce[2], (int)nonce[1], (int)nonce[0]);
        block = netwatch_aes_block(key, netwatch_turn(block));
        if (size >= 16) {
            __m128i text = _mm_loadu_si128((const __m128i *)in);
            _mm_storeu_si128((__m128i *)out, _mm_xor_si128(text, block));
        } else {
            memcpy(last, in, (size_t)size);
            __m128i text = _mm_loadu_si128((const __m128i *)last);
            _mm_storeu_si128((__m128i *)last, _mm_xor_si128(text, block));
            memcpy(out, last, (size_t)size);
        }
    }
}

/* The sum of GHASH, added up with a block and multiplied by the key. The product has 255
 * bits, with the powers of x from the left to the right, so it is one place off; what is
 * above x^127 comes back as x^7 + x^2 + x + 1 (NIST SP 800-38D section 6.3). */
NETWATCH_AES static void netwatch_ghash_block(const word64 *key, word64 *sum_high, word64 *sum_low,
                                              word64 high, word64 low) {
    __m128i h = _mm_set_epi64x((long long)key[0], (long long)key[1]);
    __m128i x = _mm_set_epi64x((long long)(*sum_high ^ high), (long long)(*sum_low ^ low));
    __m128i top = _mm_clmulepi64_si128(x, h, 0x11), end = _mm_clmulepi64_si128(x, h, 0x00);
    __m128i mid =
        _mm_xor_si128(_mm_clmulepi64_si128(x, h, 0x01), _mm_clmulepi64_si128(x, h, 0x10));
    top = _mm_xor_si128(top, _mm_srli_si128(mid, 8));
    end = _mm_xor_si128(end, _mm_slli_si128(mid, 8));
    word64 d = (word64)_mm_cvtsi128_si64(end);
    word64 c = (word64)_mm_cvtsi128_si64(_mm_srli_si128(end, 8));
    word64 b = (word64)_mm_cvtsi128_si64(top);
    word64 a = (word64)_mm_cvtsi128_si64(_mm_srli_si128(top, 8));
    a = a << 1 | b >> 63;
    b = b << 1 | c >> 63;
    c = c << 1 | d >> 63;
    d <<= 1;
    c ^= d << 63 ^ d << 62 ^ d << 57;
    *sum_high = a ^ c ^ c >> 1 ^ c >> 2 ^ c >> 7;
    *sum_low = b ^ d ^ (d >> 1 | c << 63) ^ (d >> 2 | c << 62) ^ (d >> 7 | c << 57);
}

/* Takes bytes into the sum, filled up with zeros to whole blocks. */
NETWATCH_AES static void netwatch_ghash(const word64 *key, word64 *sum_high, word64 *sum_low,
                                        const uint8_t *data, long size) {
    for (; size > 0; size -= 16, data += 16) {
        word64 block[2] = {0, 0};
        memcpy(block, data, size < 16 ? (size_t)size : 16);
        netwatch_ghash_block(key, sum_high, sum_low, __builtin_bswap64(block[0]),
                             __builtin_bswap64(block[1]));
    }
}

#define NETWATCH_SHA __attribute__((target("sha,sse4.1,ssse3")))

/* CPUID leaf 7 has the bit; not all compilers know its name. */
static int netwatch_has_sha(void) {
    unsigned int a, b, c, d;
    return __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3") &&
           __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1);
}

/* A step of SHA-256: what the state `start` of eight words is after a block of sixteen. The
 * instructions keep it as the words a, b, e, f and c, d, g, h, and do two rounds each. */
NETWATCH_SHA static void netwatch_sha256(const uint32_t *constants, const uint32_t *block,
                                         const uint32_t *start, uint32_t *to) {
    __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)start), 0xB1);
    __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(start + 4)), 0x1B);
    __m128i first = _mm_alignr_epi8(low, high, 8), second = _mm_blend_epi16(high, low, 0xF0);
    __m128i first_before = first, second_before = second, words[4];
    for (int i = 0; i < 16; i++) {
        __m128i next;
        if (i < 4) {
            next = _mm_loadu_si128((const __m128i *)(block + 4 * i));
        } else {
            next = _mm_sha256msg1_epu32(words[i & 3], words[(i + 1) & 3]);
            next = _mm_add_epi32(next, _mm_alignr_epi8(words[(i + 3) & 3], words[(i + 2) & 3], 4));
            next = _mm_sha256msg2_epu32(next, words[(i + 3) & 3]);
        }
        words[i & 3] = next;
        next = _mm_add_epi32(next, _mm_loadu_si128((const __m128i *)(constants + 4 * i)));
        second = _mm_sha256rnds2_epu32(second, first, next);
        first = _mm_sha256rnds2_epu32(first, second, _mm_shuffle_epi32(next, 0x0E));
    }
    first = _mm_shuffle_epi32(_mm_add_epi32(first, first_before), 0x1B);
    second = _mm_shuffle_epi32(_mm_add_epi32(second, second_before), 0xB1);
    _mm_storeu_si128((__m128i *)to, _mm_blend_epi16(first, second, 0xF0));
    _mm_storeu_si128((__m128i *)(to + 4), _mm_alignr_epi8(second, first, 8));
}

/* Five times four rounds of SHA-1 with one function, which has to be a constant. */
#define NETWATCH_SHA1_ROUNDS(function)                                                             \
    for (int end = i + 5; i < end; i++) {                                                          \
        __m128i next = words[i & 3], before = state;                                               \
        if (i >= 4) {                                                                              \
            next = _mm_sha1msg1_epu32(next, words[(i + 1) & 3]);                                   \
            next = _mm_xor_si128(next, words[(i + 2) & 3]);                                        \
            next = _mm_sha1msg2_epu32(next, words[(i + 3) & 3]);                                   \
            words[i & 3] = next;                                                                   \
        }                                                                                          \
        next = i ? _mm_sha1nexte_epu32(last, next) : _mm_add_epi32(last, next);                    \
        state = _mm_sha1rnds4_epu32(state, next, function);                                        \
        last = before;                                                                             \
    }

/* The SHA-1 of a message that fits a block of 64 bytes with its padding, as five words. The
 * instructions keep the state as four words with the first on top, and the fifth in another. */
NETWATCH_SHA static void netwatch_sha1(const uint8_t *block, uint32_t *digest) {
    const __m128i turn = _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f);
    const __m128i begin = _mm_set_epi32(0x67452301, (int)0xEFCDAB89, (int)0x98BADCFE, 0x10325476);
    const __m128i fifth = _mm_set_epi32((int)0xC3D2E1F0, 0, 0, 0);
    __m128i state = begin, last = fifth, words[4];
    int i = 0;
    for (int j = 0; j < 4; j++)
        words[j] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(block + 16 * j)), turn);
    NETWATCH_SHA1_ROUNDS(0)
    NETWATCH_SHA1_ROUNDS(1)
    NETWATCH_SHA1_ROUNDS(2)
    NETWATCH_SHA1_ROUNDS(3)
    last = _mm_sha1nexte_epu32(last, fifth);
    _mm_storeu_si128((__m128i *)digest, _mm_shuffle_epi32(_mm_add_epi32(state, begin), 0x1B));
    digest[4] = (uint32_t)_mm_extract_epi32(last, 3);
}

#else

static int netwatch_has_sha(void) { return 0; }
static void netwatch_sha256(const uint32_t *constants, const uint32_t *block, const uint32_t *start,
                            uint32_t *to) {
    (void)constants, (void)block, (void)start, (void)to;
}
static void netwatch_sha1(const uint8_t *block, uint32_t *digest) { (void)block, (void)digest; }
static int netwatch_has_aes(void) { return 0; }
static void netwatch_aes(const uint32_t *rounds, uint32_t *block) { (void)rounds, (void)block; }
static void netwatch_aes_counter(const uint32_t *rounds, const uint32_t *nonce, const uint8_t *in,
                                 uint8_t *out, long size, uint32_t *first) {
    (void)rounds, (void)nonce, (void)in, (void)out, (void)size, (void)first;
}
static void netwatch_ghash_block(const word64 *key, word64 *sum_high, word64 *sum_low, word64 high,
                                 word64 low) {
    (void)key, (void)sum_high, (void)sum_low, (void)high, (void)low;
}
static void netwatch_ghash(const word64 *key, word64 *sum_high, word64 *sum_low,
                           const uint8_t *data, long size) {
    (void)key, (void)sum_high, (void)sum_low, (void)data, (void)size;
}

#endif
#endif
