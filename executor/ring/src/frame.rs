//! A frame: one header word, a head (the message) and a body (its payload), each padded to eight bytes.

/// In place of a header: the rest of the queue up to its end is unused.
pub(crate) const SKIP: u64 = u64::MAX;
/// Bytes of a header.
pub(crate) const HEADER: u64 = 8;
const MORE: u64 = 1 << 63;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) head: u64,
    pub(crate) body: u64,
    /// The message's body goes on in the next frame.
    pub(crate) more: bool,
}

impl Frame {
    pub(crate) fn decode(word: u64) -> Frame {
        Frame { head: word & 0xFFFF_FFFF, body: (word & !MORE) >> 32, more: word & MORE != 0 }
    }

    pub(crate) fn encode(self) -> u64 {
        self.head | (self.body << 32) | if self.more { MORE } else { 0 }
    }

    /// Bytes that it takes in the queue.
    pub(crate) fn size(self) -> u64 {
        HEADER + padded(self.head) + padded(self.body)
    }
}

pub(crate) fn padded(bytes: u64) -> u64 {
    bytes.next_multiple_of(8)
}

/// The largest frame of a queue: a few fit, so that both sides can work at the same time.
pub(crate) fn frame_max(capacity: u64) -> u64 {
    capacity / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_and_is_never_a_skip() {
        for (head, body, more) in [(0, 0, false), (1, 7, true), (0xFFFF_FFFF, 0x7FFF_FFFE, true)] {
            let frame = Frame { head, body, more };
            assert_eq!(Frame::decode(frame.encode()), frame);
            assert_ne!(frame.encode(), SKIP);
        }
    }
}
