// Sums over 64-bit words with their places, as `sums` in spare.rs: each item a part, to be added up.
ulong mixed(ulong word) {
    word = (word ^ word >> 32) * 0xD6E8FEB86659FD93UL;
    word = (word ^ word >> 32) * 0xD6E8FEB86659FD93UL;
    return word ^ word >> 32;
}

__kernel void checksum(__global const uchar *data, ulong len, ulong key0, ulong key1, __global ulong *sums) {
    const ulong item = get_global_id(0), items = get_global_size(0), whole = len / 8;
    __global const ulong *words = (__global const ulong *)data;
    ulong first = 0, second = 0;
    for (ulong i = item; i < whole; i += items) {
        const ulong place = (i + 1) * 0x9E3779B97F4A7C15UL;
        first += mixed(words[i] ^ (key0 + place));
        second += mixed(words[i] ^ (key1 + place));
    }
    if (item == 0 && len % 8) {
        const ulong place = (whole + 1) * 0x9E3779B97F4A7C15UL;
        ulong word = 0;
        for (ulong i = 0; i < len % 8; i++) word |= (ulong)data[whole * 8 + i] << (8 * i);
        first += mixed(word ^ (key0 + place));
        second += mixed(word ^ (key1 + place));
    }
    sums[2 * item] = first;
    sums[2 * item + 1] = second;
}
