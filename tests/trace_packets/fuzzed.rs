//! The property of the fuzz target `capture`, over its seeds and over files that were changed.

#[path = "../../fuzz/properties/capture.rs"]
mod property;

use crate::build::{PCSCF, UE, gtp_u, in_order, request, tcp, udp, watchdog};
use imsreg::random::Random;

#[test]
fn seeds_of_the_fuzz_target() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/capture");
    let seeds: Vec<_> = std::fs::read_dir(folder).unwrap().map(|seed| seed.unwrap().path()).collect();
    assert!(seeds.len() >= 6);
    for seed in seeds {
        property::capture(&std::fs::read(seed).unwrap());
    }
}

#[test]
fn octets_changed_anywhere() {
    let packets = [
        udp(UE, PCSCF, &request(1, 30)),
        gtp_u("172.16.0.1:2152", "172.16.0.2:2152", 7, &udp(UE, PCSCF, &request(2, 0))),
        tcp(UE, PCSCF, 1, 2, b""),
        tcp(UE, PCSCF, 2, 16, &request(3, 500)[..300]),
        tcp(UE, PCSCF, 302, 16, &request(3, 500)[300..]),
        tcp("10.0.0.8:40000", "10.0.0.9:3868", 1, 16, &watchdog(1, 40)),
    ];
    let file = in_order(&packets);
    let mut random = Random::seeded(11);
    for _ in 0..4_000 {
        let mut changed = file.clone();
        for _ in 0..1 + random.below(4) {
            let at = random.below(changed.len() as u32) as usize;
            changed[at] = random.next_u32() as u8;
        }
        changed.truncate(changed.len() - random.below(100) as usize);
        property::capture(&changed);
    }
}
