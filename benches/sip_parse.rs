//! Time to parse the two REGISTERs of the seed document: `cargo bench --bench sip_parse [-- framing|typed COUNT]`.
//!
//! Without arguments it prints nanoseconds, the median and least of 21 rounds. With a name and a count it only runs that
//! often, for instruction counts under callgrind.

#[path = "peers/sip_parse_ours.rs"]
mod ours;

use std::hint::black_box;

type Parse = fn(&[u8]) -> Result<usize, String>;

const MESSAGES: [(&str, &[u8]); 2] = [
    ("initial", include_bytes!("../tests/data/seeds/ims-01-register.sip")),
    ("protected", include_bytes!("../tests/data/seeds/ims-03-register-auth.sip")),
];
const DEPTHS: [(&str, Parse); 2] = [("framing", ours::frame), ("typed", ours::typed)];
const ROUNDS: usize = 21;
const PER_ROUND: u32 = 20_000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    for (depth, parse) in DEPTHS {
        for (name, message) in MESSAGES {
            parse(message).unwrap_or_else(|fault| panic!("{depth} {name}: {fault}"));
            match &args[..] {
                [] => {
                    let (median, least) = time(parse, message);
                    println!("sip_parse {depth:<8} {name:<10} {median:>6.0} ns, least {least:.0} ns");
                }
                [wanted, count] if wanted == depth => run(parse, message, count.parse().expect("a count")),
                _ => {}
            }
        }
    }
}

fn run(parse: Parse, message: &[u8], count: u32) {
    for _ in 0..count {
        let _ = black_box(parse(black_box(message)));
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn time(parse: Parse, message: &[u8]) -> (f64, f64) {
    run(parse, message, PER_ROUND);
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = std::time::Instant::now();
            run(parse, message, PER_ROUND);
            start.elapsed().as_secs_f64() * 1e9 / f64::from(PER_ROUND)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    (rounds[ROUNDS / 2], rounds[0])
}
