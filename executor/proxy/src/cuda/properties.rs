//! What the simulated device says of itself.

use super::simulated::{BASE, MEMORY, SIZE};
use wire::cuda::Properties;

/// What programs are told: limits of compute capability 9.0, so that what `nvcc -arch=sm_90` built is taken.
pub(crate) fn properties() -> Properties {
    let mut attributes: Vec<(i32, i32)> = vec![
        (1, 1024),       // threads in a block
        (2, 1024),       // a block's x
        (3, 1024),       // a block's y
        (4, 64),         // a block's z
        (5, i32::MAX),   // a grid's x
        (6, 65535),      // a grid's y
        (7, 65535),      // a grid's z
        (8, 48 << 10),   // shared memory of a block
        (9, 64 << 10),   // constant memory
        (10, 32),        // threads in a warp
        (11, i32::MAX),  // largest pitch
        (12, 65536),     // registers of a block
        (13, 1_000_000), // clock in kHz
        (14, 512),       // alignment of textures
        (16, 1),         // multiprocessors
        (31, 1),         // concurrent kernels
        (36, 1_000_000), // memory clock in kHz
        (37, 64),        // memory bus in bits
        (39, 2048),      // threads of a multiprocessor
        (40, 1),         // copy engines
        (41, 1),         // one address space for host and device
        (75, 9),         // compute capability, major
        (76, 0),         // compute capability, minor
        (78, 1),         // stream priorities
        (81, 228 << 10), // shared memory of a multiprocessor
        (82, 65536),     // registers of a multiprocessor
        (97, 227 << 10), // shared memory of a block that asks for it
        (106, 32),       // blocks of a multiprocessor
        (111, 1 << 10),  // shared memory that the system keeps in a block
        (115, 1),        // memory pools
    ];
    attributes.sort_unstable();
    Properties {
        name: "Orrery simulated CUDA device".into(),
        memory: MEMORY,
        base: BASE,
        size: SIZE,
        driver: 13000,
        uuid: *b"orrery-simulated",
        attributes,
    }
}
