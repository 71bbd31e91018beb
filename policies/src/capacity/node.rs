//! What is planned and held on one node.

use super::{Amount, GRANT_KINDS, Group, bits, grant_kind};
use crate::allocation::Grant;
use crate::ids::NodeId;
use crate::job::WHOLE_MILLI;

/// One cache line for every node: a gang of whole accelerators is placed, started and ended without touching anything else of
/// it. Accelerators are bits; all sets are empty on fungible nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(align(64))]
pub(super) struct NodeState {
    pub group: u32,
    /// Index of its first accelerator in [`Shares`].
    pub first_device: u32,
    /// Wholly free to plan with. What is in neither this nor `shared` is planned as a whole.
    pub whole: u64,
    /// Planned in shares.
    pub shared: u64,
    /// Physically held as a whole.
    pub held_whole: u64,
    /// Physically held in shares.
    pub held_shared: u64,
    /// Free to plan with; `u32::MAX` processors or memory where nobody counts them.
    pub free: Amount,
    /// Grants of whole accelerators planned here, by [kind](grant_kind) less one.
    pub grants: [u8; GRANT_KINDS - 1],
    /// Takes nothing: it is in no index and in no total.
    pub closed: bool,
}

/// Thousandths of the shared accelerators of all nodes; of others nothing is written here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    /// Free to plan with; 1000 where no share is planned.
    pub free: Vec<u16>,
    /// Physically held by shares.
    pub held: Vec<u16>,
}

impl NodeState {
    /// Everything free.
    pub fn new(group: u32, first_device: u32, whole: u64, free: Amount) -> NodeState {
        let grants = [0; GRANT_KINDS - 1];
        NodeState { group, first_device, whole, shared: 0, held_whole: 0, held_shared: 0, free, grants, closed: false }
    }

    /// Whether somebody counts its processors or memory.
    #[inline]
    pub fn counts_resources(&self) -> bool {
        self.free.cpu_milli != u32::MAX || self.free.memory_mib != u32::MAX
    }

    /// What a grant takes of it, less what nobody counts.
    #[inline]
    pub fn amount_of(&self, grant: &Grant, milli: u16) -> Amount {
        Amount {
            milli: u64::from(grant.count) * u64::from(milli),
            cpu_milli: if self.free.cpu_milli == u32::MAX { 0 } else { grant.cpu_milli },
            memory_mib: if self.free.memory_mib == u32::MAX { 0 } else { grant.memory_mib },
        }
    }

    /// Thousandths of accelerator `device` that are free to plan with.
    pub fn device_free(&self, shares: &Shares, device: usize) -> u16 {
        match (self.whole >> device & 1, self.shared >> device & 1) {
            (1, _) => WHOLE_MILLI,
            (_, 1) => shares.free[self.first_device as usize + device],
            _ => 0,
        }
    }

    /// Thousandths of accelerator `device` that are physically held.
    fn device_held(&self, shares: &Shares, device: usize) -> u16 {
        match (self.held_whole >> device & 1, self.held_shared >> device & 1) {
            (1, _) => WHOLE_MILLI,
            (_, 1) => shares.held[self.first_device as usize + device],
            _ => 0,
        }
    }

    /// Whether shares of `milli` on each of `devices` could be held beside what is held.
    pub fn is_vacant(&self, shares: &Shares, devices: u64, milli: u16) -> bool {
        if self.held_whole & devices != 0 {
            return false;
        }
        self.held_shared & devices == 0 || bits(devices).all(|d| self.device_held(shares, d) + milli <= WHOLE_MILLI)
    }

    /// `count` whole accelerators, those first that nobody holds, then the lowest-numbered.
    pub fn pick_whole(&self, count: u32) -> Option<u64> {
        if self.whole.count_ones() < count {
            return None;
        }
        let vacant = self.whole & !(self.held_whole | self.held_shared);
        let first = lowest(vacant, count);
        Some(first | lowest(self.whole & !first, count - first.count_ones()))
    }

    /// Accelerators for `count` shares, those first that nobody holds too much of, then the fullest.
    pub fn pick_shares(&self, shares: &Shares, milli: u16, count: u32) -> Option<u64> {
        let mut picked = 0u64;
        for _ in 0..count {
            let fits = |&d: &usize| picked >> d & 1 == 0 && self.device_free(shares, d) >= milli;
            let best = bits(self.whole | self.shared)
                .filter(fits)
                .min_by_key(|&d| (self.device_held(shares, d) + milli > WHOLE_MILLI, self.device_free(shares, d), d))?;
            picked |= 1 << best;
        }
        Some(picked)
    }

    /// Plans (or no longer plans, unless `taken`) `count` accelerators, `milli` of each of `devices`.
    ///
    /// # Panics
    /// If that is planned twice or given back twice.
    #[inline]
    pub fn plan(&mut self, node: NodeId, shares: &mut Shares, group: &mut Group, devices: u64, milli: u16, taken: bool) {
        let before = self.whole.count_ones();
        if milli == WHOLE_MILLI {
            let kind = &mut self.grants[grant_kind(devices.count_ones(), milli) - 1];
            if taken {
                assert!(self.whole & devices == devices, "planned twice");
                self.whole &= !devices;
                *kind += 1;
            } else {
                assert!((self.whole | self.shared) & devices == 0 && *kind > 0, "given back twice");
                self.whole |= devices;
                *kind -= 1;
            }
        } else {
            bits(devices).for_each(|device| self.plan_share(node, shares, group, device, milli, taken));
        }
        if !self.closed {
            group.recount(node, before, self.whole.count_ones());
        }
    }

    fn plan_share(&mut self, node: NodeId, shares: &mut Shares, group: &mut Group, device: usize, milli: u16, taken: bool) {
        let was = self.device_free(shares, device);
        let is = if taken { was.checked_sub(milli).expect("planned twice") } else { was + milli };
        assert!(is <= WHOLE_MILLI && (taken || self.shared >> device & 1 == 1), "given back twice");
        let first = self.first_device as usize;
        let all = &mut shares.free[first..first + group.size as usize];
        all[device] = is;
        self.whole = with_bit(self.whole, device, is == WHOLE_MILLI);
        self.shared = with_bit(self.shared, device, is != WHOLE_MILLI);
        if !self.closed {
            group.reshare(node, was, is, all.contains(&was));
        }
    }

    /// Takes the node out of its group's index, or puts it back.
    pub fn close(&mut self, node: NodeId, shares: &Shares, group: &mut Group, closed: bool) {
        self.closed = closed;
        group.list(node, self.whole.count_ones(), !closed);
        for device in bits(self.shared) {
            group.list_share(node, shares.free[self.first_device as usize + device], !closed);
        }
    }

    /// Notes that `milli` of each of `devices` is physically held (or no longer, unless `held`).
    ///
    /// # Panics
    /// If an accelerator would be held twice or is released twice.
    #[inline]
    pub fn hold(&mut self, shares: &mut Shares, devices: u64, milli: u16, held: bool) {
        if milli == WHOLE_MILLI {
            if held {
                assert!((self.held_whole | self.held_shared) & devices == 0, "accelerator held twice");
                self.held_whole |= devices;
            } else {
                assert!(self.held_whole & devices == devices, "accelerator released twice");
                self.held_whole &= !devices;
            }
            return;
        }
        for device in bits(devices) {
            let amount = &mut shares.held[self.first_device as usize + device];
            *amount = if held { *amount + milli } else { amount.checked_sub(milli).expect("accelerator released twice") };
            assert!(*amount <= WHOLE_MILLI && self.held_whole >> device & 1 == 0, "accelerator held twice");
            self.held_shared = with_bit(self.held_shared, device, *amount > 0);
        }
    }
}

fn with_bit(set: u64, bit: usize, on: bool) -> u64 {
    set & !(1 << bit) | u64::from(on) << bit
}

/// The `count` lowest bits of `set`, or all if it has fewer.
fn lowest(set: u64, count: u32) -> u64 {
    if set.count_ones() <= count {
        return set;
    }
    bits(set).take(count as usize).fold(0, |picked, bit| picked | 1 << bit)
}
