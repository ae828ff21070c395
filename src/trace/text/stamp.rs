//! Times as texts show them: with a date, without a year, without a day.

use crate::sip::header::grammar;
use crate::time::Instant;

/// A time at which something stands in a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    scale: Scale,
    micros: i64,
}

/// What the microseconds of a stamp count from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Scale {
    /// 1970-01-01T00:00:00Z, or local time where the text does not tell its zone.
    Calendar,
    /// The beginning of a year, which has 366 days.
    Year,
    /// Midnight.
    Day,
    /// The stamp before.
    Before,
    /// The first packet of the trace.
    Trace,
}

impl Stamp {
    /// The stamp that `text` begins with, and what follows it.
    pub(super) fn read(text: &[u8]) -> Option<(Self, &[u8])> {
        let dated = iso_date(text).or_else(|| month_and_day(text)).or_else(|| month_name(text));
        match dated {
            Some((scale, days, rest)) => {
                let rest = rest.strip_prefix(b"T").unwrap_or(rest).trim_ascii_start();
                let (micros, rest) = time_of_day(rest)?;
                let (zone, rest) = zone(rest);
                Some((Self { scale, micros: days * DAY + micros - zone }, rest))
            }
            None => time_of_day(text).map(|(micros, rest)| (Self { scale: Scale::Day, micros }, rest)),
        }
    }

    /// Seconds with a fraction since 1970.
    pub(super) fn epoch(text: &[u8]) -> Option<Self> {
        seconds(text).map(|(micros, _)| Self { scale: Scale::Calendar, micros })
    }

    /// Seconds with a fraction since the stamp before.
    pub(super) fn since_before(text: &[u8]) -> Option<(Self, &[u8])> {
        seconds(text).map(|(micros, rest)| (Self { scale: Scale::Before, micros }, rest))
    }

    /// Seconds with a fraction since the first packet of the trace.
    pub(super) fn since_first(text: &[u8]) -> Option<(Self, &[u8])> {
        seconds(text).map(|(micros, rest)| (Self { scale: Scale::Trace, micros }, rest))
    }
}

/// Turns the stamps of one text into times after the first one.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Clock {
    started: Option<Started>,
}

#[derive(Clone, Copy, Debug)]
struct Started {
    scale: Scale,
    first: i64,
    last: i64,
}

impl Clock {
    /// When `stamp` is. `None` for one that cannot be compared with the first: on another scale, or before it.
    pub(super) fn at(&mut self, stamp: Stamp) -> Option<Instant> {
        if stamp.scale == Scale::Trace {
            return u64::try_from(stamp.micros).ok().map(Instant::from_micros);
        }
        let started = self.started.get_or_insert(match stamp.scale {
            Scale::Before => Started { scale: Scale::Before, first: stamp.micros, last: 0 },
            scale => Started { scale, first: stamp.micros, last: stamp.micros },
        });
        if started.scale != stamp.scale {
            return None;
        }
        let mut micros = stamp.micros;
        match stamp.scale {
            Scale::Before => micros = micros.checked_add(started.last)?,
            // A text that goes on after midnight, or after New Year.
            Scale::Day => micros += turns(started.last - micros, DAY),
            Scale::Year => micros += turns(started.last - micros, 366 * DAY),
            Scale::Calendar | Scale::Trace => {}
        }
        started.last = micros;
        u64::try_from(micros.checked_sub(started.first)?).ok().map(Instant::from_micros)
    }
}

/// What to add to a time that is `behind` another on a dial of `length`, when more than half of the dial lies between.
fn turns(behind: i64, length: i64) -> i64 {
    if behind > length / 2 { (behind + length / 2) / length * length } else { 0 }
}

/// `2004/12/01` and `2004-12-01`.
fn iso_date(text: &[u8]) -> Option<(Scale, i64, &[u8])> {
    let &[a, b, c, d, dash @ (b'/' | b'-'), e, f, other, g, h, ref rest @ ..] = text else { return None };
    let year = i64::try_from(grammar::digits(&[a, b, c, d])?).ok()?;
    let (month, day) = (two(e, f)?, two(g, h)?);
    (other == dash && (1..=12).contains(&month) && (1..=31).contains(&day))
        .then(|| (Scale::Calendar, days_since_1970(year, month, day), rest))
}

/// `05-16`.
fn month_and_day(text: &[u8]) -> Option<(Scale, i64, &[u8])> {
    let &[a, b, b'-', c, d, ref rest @ ..] = text else { return None };
    let (month, day) = (two(a, b)?, two(c, d)?);
    let is_date = (1..=12).contains(&month) && (1..=31).contains(&day) && rest.first() == Some(&b' ');
    is_date.then(|| (Scale::Year, day_of_year(month, day), rest))
}

/// `Mar  6`, and `Mar  6, 2014` as Wireshark writes it.
fn month_name(text: &[u8]) -> Option<(Scale, i64, &[u8])> {
    let name = text.get(..3)?;
    let month = MONTHS.iter().position(|known| known.as_bytes() == name)? as i64 + 1;
    let rest = text[3..].strip_prefix(b" ")?.trim_ascii_start();
    let (day, rest) = short_number(rest)?;
    if !(1..=31).contains(&day) {
        return None;
    }
    if let Some(rest) = rest.strip_prefix(b", ") {
        let year = i64::try_from(grammar::digits(rest.get(..4)?)?).ok()?;
        return Some((Scale::Calendar, days_since_1970(year, month, day), &rest[4..]));
    }
    rest.starts_with(b" ").then(|| (Scale::Year, day_of_year(month, day), rest))
}

/// `13:34:49`, with a fraction behind a point or a comma.
fn time_of_day(text: &[u8]) -> Option<(i64, &[u8])> {
    let &[a, b, b':', c, d, b':', e, f, ref rest @ ..] = text else { return None };
    let (hour, minute, second) = (two(a, b)?, two(c, d)?, two(e, f)?);
    let (micros, rest) = fraction(rest);
    let is_time = hour < 24 && minute < 60 && second <= 60;
    is_time.then(|| (((hour * 60 + minute) * 60 + second) * 1_000_000 + micros, rest))
}

/// `Z`, `+02:00`, `+0200`; microseconds east of Greenwich.
fn zone(text: &[u8]) -> (i64, &[u8]) {
    if let Some(rest) = text.strip_prefix(b"Z") {
        return (0, rest);
    }
    let (sign, digits, rest) = match *text {
        [sign @ (b'+' | b'-'), a, b, b':', c, d, ref rest @ ..] => (sign, [a, b, c, d], rest),
        [sign @ (b'+' | b'-'), a, b, c, d, ref rest @ ..] => (sign, [a, b, c, d], rest),
        _ => return (0, text),
    };
    let [a, b, c, d] = digits;
    let (Some(hours), Some(minutes)) = (two(a, b), two(c, d)) else { return (0, text) };
    let east = (hours * 60 + minutes) * 60_000_000;
    (if sign == b'-' { -east } else { east }, rest)
}

/// `12.345678`.
fn seconds(text: &[u8]) -> Option<(i64, &[u8])> {
    let length = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let whole = i64::try_from(grammar::digits(text.get(..length)?)?).ok()?;
    let (micros, rest) = fraction(&text[length..]);
    Some((whole.checked_mul(1_000_000)?.checked_add(micros)?, rest))
}

/// Microseconds of a fraction, if there is one.
fn fraction(text: &[u8]) -> (i64, &[u8]) {
    let Some((b'.' | b',', rest)) = text.split_first() else { return (0, text) };
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 {
        return (0, text);
    }
    let micros = (0..6).fold(0, |micros, n| micros * 10 + rest[..digits].get(n).map_or(0, |b| i64::from(b - b'0')));
    (micros, &rest[digits..])
}

fn short_number(text: &[u8]) -> Option<(i64, &[u8])> {
    let length = text.iter().take_while(|b| b.is_ascii_digit()).count();
    (length <= 2).then_some(())?;
    Some((i64::try_from(grammar::digits(&text[..length])?).ok()?, &text[length..]))
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

/// Days from 1970-01-01 to a day of the Gregorian calendar, years taken to begin in March.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let since_march = (month + 9) % 12;
    365 * year + year / 4 - year / 100 + year / 400 + (153 * since_march + 2) / 5 + day - 1 - 719_468
}

/// Days from the beginning of a leap year.
fn day_of_year(month: i64, day: i64) -> i64 {
    days_since_1970(2000, month, day) - days_since_1970(2000, 1, 1)
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const DAY: i64 = 86_400_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> i64 {
        Stamp::read(text.as_bytes()).unwrap_or_else(|| panic!("{text}")).0.micros
    }

    #[test]
    fn dates_are_counted_from_1970() {
        assert_eq!(micros("2014-03-06T13:34:49.416Z"), 1_394_112_889_416_000);
        assert_eq!(micros("2014/03/06 13:34:49.416000 x"), 1_394_112_889_416_000);
        assert_eq!(micros("2014-03-06T15:34:49,416+02:00"), 1_394_112_889_416_000);
        assert_eq!(micros("Mar  6, 2014 13:34:49.416000000 UTC"), 1_394_112_889_416_000);
        assert_eq!(Stamp::epoch(b"1394112889.416"), Stamp::read(b"2014-03-06 13:34:49.416").map(|(stamp, _)| stamp));
        assert_eq!(micros("2000-02-29 00:00:00") - micros("2000-02-28 00:00:00"), DAY);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in
            ["", "REGISTER", "2014-13-06 13:34:49", "24:00:00", "1:2:3", "Mar 6", "Mar  6, 20", "05-16", "05-16x"]
        {
            assert_eq!(Stamp::read(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_clock_counts_from_the_first_stamp() {
        let mut clock = Clock::default();
        let mut at = |text: &str| clock.at(Stamp::read(text.as_bytes()).expect("a stamp").0).map(Instant::as_micros);
        assert_eq!(at("23:59:59.5"), Some(0));
        assert_eq!(at("23:59:59.75"), Some(250_000));
        assert_eq!(at("00:00:01"), Some(1_500_000));
        assert_eq!(at("23:59:59"), None, "the nearer of the two days is that before");
        assert_eq!(at("2014-03-06 13:34:49"), None, "no day is known of the others");
    }

    #[test]
    fn no_time_lies_before_the_first() {
        let mut clock = Clock::default();
        let mut at = |text: &str| clock.at(Stamp::read(text.as_bytes()).expect("a stamp").0).map(Instant::as_micros);
        assert_eq!(at("Dec 31 23:00:00"), Some(0));
        assert_eq!(at("Dec 31 22:00:00"), None);
        assert_eq!(at("Jan  1 00:00:00"), Some(3_600_000_000));
    }

    #[test]
    fn differences_add_up() {
        let mut clock = Clock::default();
        let mut at = |text: &[u8]| clock.at(Stamp::since_before(text).expect("a stamp").0).map(Instant::as_micros);
        assert_eq!((at(b"0.5"), at(b"0.25"), at(b"1.0")), (Some(0), Some(250_000), Some(1_250_000)));
    }
}
