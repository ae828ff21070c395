//! Date of a 200: devices without clock set theirs by it (RFC 3261 clause 20.17, GB/T 28181 clause 9.10).

use crate::time::{Epoch, Instant};

/// How it is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DateForm {
    /// `Sat, 13 Nov 2010 23:29:00 GMT`
    Sip,
    /// `2010-11-13T23:29:00.000`, as GB/T 28181 has it.
    Iso,
}

impl DateForm {
    /// The time of `now`.
    pub(in crate::scscf) fn write(self, epoch: Epoch, now: Instant) -> String {
        let micros = epoch.unix_micros(now);
        let (seconds, millis) = (micros / 1_000_000, micros / 1_000 % 1_000);
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
        let (year, month, day) = civil(days);
        match self {
            Self::Sip => {
                let (name, month) = (DAYS[(days % 7) as usize], MONTHS[month as usize - 1]);
                format!("{name}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
            }
            Self::Iso => format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}"),
        }
    }
}

/// Year, month and day of a number of days since 1970-01-01 in the Gregorian calendar, whose years begin in March here:
/// the leap day is the last of them.
const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + carry, month, day_of_month)
}

/// 1970-01-01 was a Thursday.
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    /// As `date -u -d @N` writes them; the first is of RFC 3261 clause 20.17.
    #[test]
    fn dates() {
        let at = |secs| (Epoch::from_unix_secs(secs), Instant::from_millis(7));
        for (secs, sip, iso) in [
            (1_289_690_940, "Sat, 13 Nov 2010 23:29:00 GMT", "2010-11-13T23:29:00.007"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT", "2000-02-29T00:00:00.007"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT", "2000-03-01T00:00:00.007"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00.007"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT", "2100-02-28T23:59:59.007"),
        ] {
            let (epoch, now) = at(secs);
            assert_eq!((DateForm::Sip.write(epoch, now), DateForm::Iso.write(epoch, now)), (sip.into(), iso.into()));
        }
    }
}
