//! Whatever a worker sends is a call, which comes back the same when it is encoded, or an error.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(call) = wire::decode::<wire::Call>(bytes) {
        let _ = call.request.effect();
        let mut again = Vec::new();
        wire::encode(&call, &mut again);
        assert_eq!(wire::decode::<wire::Call>(&again).expect("its own encoding"), call);
    }
    let _ = wire::decode::<wire::Answer>(bytes);
});
