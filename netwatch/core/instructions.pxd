ctypedef unsigned long long word64

cdef extern from "netwatch/core/instructions.h" nogil:
    int netwatch_has_aes()
    int netwatch_has_sha()
    void netwatch_sha256(
        const unsigned int *constants, const unsigned int *block, const unsigned int *start,
        unsigned int *to)
    void netwatch_sha1(const unsigned char *block, unsigned int *digest)
    void netwatch_aes(const unsigned int *rounds, unsigned int *block)
    void netwatch_aes_counter(
        const unsigned int *rounds, const unsigned int *nonce,
        const unsigned char *data, unsigned char *out, long size, unsigned int *first)
    void netwatch_ghash_block(
        const word64 *key, word64 *sum_high, word64 *sum_low, word64 high, word64 low)
    void netwatch_ghash(
        const word64 *key, word64 *sum_high, word64 *sum_low, const unsigned char *data, long size)
