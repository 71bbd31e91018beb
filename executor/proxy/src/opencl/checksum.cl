// Sums over 64-bit words with their places, as `sums` in spare.rs: each item a part, to be added up. An item takes `each` words, the
// first at `first` times its number, `step` apart: side by side for devices that read together, in a block for those that cache.
ulong mixed(ulong word) {
    word = (word ^ word >> 32) * 0xD6E8FEB86659FD93UL;
    word = (word ^ word >> 32) * 0xD6E8FEB86659FD93UL;
    return word ^ word >> 32;
}

__kernel void checksum(__global const uchar *data, ulong len, ulong key0, ulong key1, __global ulong *sums, ulong each,
                       ulong first, ulong step) {
    const ulong item = get_global_id(0), whole = len / 8;
    __global const ulong *words = (__global const ulong *)data;
    ulong one = 0, other = 0;
    for (ulong n = 0, i = item * first; n < each && i < whole; n++, i += step) {
        const ulong place = (i + 1) * 0x9E3779B97F4A7C15UL;
        one += mixed(words[i] ^ (key0 + place));
        other += mixed(words[i] ^ (key1 + place));
    }
    if (item == 0 && len % 8) {
        const ulong place = (whole + 1) * 0x9E3779B97F4A7C15UL;
        ulong word = 0;
        for (ulong i = 0; i < len % 8; i++) word |= (ulong)data[whole * 8 + i] << (8 * i);
        one += mixed(word ^ (key0 + place));
        other += mixed(word ^ (key1 + place));
    }
    sums[2 * item] = one;
    sums[2 * item + 1] = other;
}
