//! The workloads in instructions, which valgrind counts and no other load on the machine changes.
//! `cargo run -p bench --bin counts` runs them and compares them with the record in `counts.toml`.

use bench::Work;
use gungraun::{library_benchmark, library_benchmark_group, main};
use ringway::auth::Algorithm;

/// How often a workload is run, if it can be: often enough that an allocator's occasional long way round is shared out.
const RUNS: usize = 100;

/// Answers the workload, so that what it holds is not dropped in what is counted.
fn runs(mut work: Work) -> Work {
    let runs = if work.is_repeatable() { RUNS } else { 1 };
    (0..runs).for_each(|_| work.run());
    work
}

/// A layer's workloads as a group, and with which arguments they run: `workload: name(argument), …;`.
macro_rules! count {
    ($layer:ident, $($workload:ident: $($id:ident($($argument:tt)*)),+;)+) => {
        $(
            #[library_benchmark]
            $(#[bench::$id(bench::$layer::$workload($($argument)*))])+
            fn $workload(work: Work) -> Work {
                runs(work)
            }
        )+
        library_benchmark_group!(name = $layer, benchmarks = [$($workload),+]);
    };
}

count! { ws,
    unmask: bytes_128(128), bytes_8192(8192);
    validate_utf8: bytes_128(128), bytes_8192(8192);
    decode_binary: bytes_128(128), bytes_8192(8192);
    decode_text: bytes_128(128), bytes_8192(8192);
    decode_fragments: bytes_8192(8192);
    decode_burst: frames_32();
    encode_text: bytes_128(128), bytes_8192(8192);
}

count! { native,
    decode_send: bytes_128(128), bytes_8192(8192);
    decode_send_dense: bytes_8192(8192);
    decode_send_with_id_and_escapes: bytes_90();
    decode_ping: bytes_15();
    decode_unknown_fields: bytes_64k();
    encode_message: bytes_128(128), bytes_8192(8192);
    encode_ack: bytes_90();
}

count! { auth,
    verify_hmac: hs256(Algorithm::Hs256), hs512(Algorithm::Hs512);
    verify_eddsa: ed25519();
    refuse_forged_hmac: hs256();
    decide: rules_1(1), rules_100(100);
}

count! { hub,
    publish_in_500_rooms: shards_2();
    publish_persistent_in_500_rooms: shards_2();
    publish_named_in_500_rooms: shards_2();
    missed: messages_100(100);
    join_and_vacate: shards_1();
}

count! { mailbox,
    post_and_take_64: parcels_64();
}

count! { engine,
    publish: members_10(10), members_1000(1_000);
    publish_limited: members_10(10), members_1000(1_000);
    publish_16: members_200(200);
    relay: members_10(10), members_1000(1_000);
    echo: bytes_128(128);
    reconnect: hs256();
    recover: messages_100(100);
    fan_out: members_1000(1_000);
}

main!(library_benchmark_groups = [ws, native, auth, hub, mailbox, engine]);
