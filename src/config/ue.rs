//! What a simulated UE subscribes to, from flags or from a subscriber file.

use super::fault::Faults;
use super::keys::{Keys, Operator};
use super::read::Leaf;
use super::subscribers::value::{IMPI, IMPU, IMSI, KEY_16, SQN};
use super::usim_file::read_usim_file;
use super::value::REALM;
use crate::aka::usim::Usim;
use crate::identity::{Impi, Impu, Realm, home_domain, impi_from_imsi, temporary_impu};
use std::path::PathBuf;

/// A subscription: identities and USIM.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Private identity.
    pub impi: Impi,
    /// The identity to register.
    pub impu: Impu,
    /// Home domain.
    pub realm: Realm,
    /// Keys and SQNs.
    pub usim: Usim,
}

/// A subscription as flags give it, each text as its user wrote it.
#[derive(Clone, Default)]
#[expect(missing_docs, reason = "each is the flag of that name")]
pub struct UeFlags {
    pub imsi: String,
    pub k: String,
    pub opc: Option<String>,
    pub op: Option<String>,
    pub realm: Option<String>,
    pub impi: Option<String>,
    pub impu: Option<String>,
    pub sqn: Option<String>,
    pub usim: Option<PathBuf>,
}

impl std::fmt::Debug for UeFlags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UeFlags(..)")
    }
}

impl UeFlags {
    /// Checks everything. Without `--realm` the home domain of the IMSI is taken, with an MNC of three digits where the
    /// numbering plan of its country has them.
    pub fn subscription(&self) -> Result<Subscription, Faults> {
        let mut faults = Vec::new();
        let mut note = |fault: Faults| faults.extend(fault.0);
        let imsi = read("--imsi", &self.imsi, IMSI, false).map_err(&mut note).ok();
        let k = read("--k", &self.k, KEY_16, true).map_err(&mut note).ok();
        let operator = match (&self.opc, &self.op) {
            (Some(opc), None) => read("--opc", opc, KEY_16, true).map(Operator::Computed),
            (None, Some(op)) => read("--op", op, KEY_16, true).map(Operator::Plain),
            (None, None) => Err(Faults::one("--opc", "", "missing, --opc or --op with 32 hexadecimal digits expected")),
            (Some(_), Some(_)) => Err(Faults::one("--op", "", "found beside --opc, one of the two expected")),
        };
        let operator = operator.map_err(&mut note).ok();
        let realm = self.realm.as_deref().map(|t| read("--realm", t, REALM, false)).transpose().map_err(&mut note);
        let impi = self.impi.as_deref().map(|t| read("--impi", t, IMPI, false)).transpose().map_err(&mut note);
        let impu = self.impu.as_deref().map(|t| read("--impu", t, IMPU, false)).transpose().map_err(&mut note);
        let sqn = self.sqn.as_deref().map(|t| read("--sqn", t, SQN, false)).transpose().map_err(&mut note);
        let sqns = self.usim.as_deref().map(read_usim_file).transpose().map_err(&mut note);
        let hole = [Some(&self.k), self.opc.as_ref(), self.op.as_ref()].into_iter().flatten().any(|t| t.contains('{'));
        if hole && self.imsi.len() != 15 {
            note(Faults::one("--imsi", "", "15 digits expected because a key holds {imsi}"));
        }
        let (Some(imsi), Some(k), Some(operator), Ok(realm), Ok(impi), Ok(impu), Ok(sqn), Ok(sqns)) =
            (imsi, k, operator, realm, impi, impu, sqn, sqns)
        else {
            return Err(Faults(faults));
        };
        if !faults.is_empty() {
            return Err(Faults(faults));
        }
        let home = || home_domain(&imsi, mnc_digits(&imsi)).expect("6 digits or more, and 2 or 3 of them");
        let realm = realm.map_or_else(home, Realm::new);
        let impi = impi.unwrap_or_else(|| impi_from_imsi(&imsi, &realm));
        let impu = impu.map_or_else(|| temporary_impu(&impi), Impu::new);
        let keys = Keys::Milenage { k, operator }.for_imsi(&imsi).expect("Milenage takes every key");
        let mut usim = Usim::new(keys, sqn.unwrap_or(0));
        if let Some(Some(array)) = sqns {
            usim.set_sqn_array(array);
        }
        Ok(Subscription { impi, impu, realm, usim })
    }
}

fn read<T>(flag: &str, text: &str, leaf: Leaf<T>, secret: bool) -> Result<T, Faults> {
    (leaf.read)(text).ok_or_else(|| {
        let found = if secret {
            format!("\"..\" ({} characters)", text.chars().count())
        } else {
            format!("\"{}\"", super::mask::mask_value(text).escape_debug())
        };
        Faults::one(flag, "", format!("{found} found, {} expected", leaf.expected))
    })
}

/// Countries whose networks have MNCs of three digits, by MCC (ITU-T E.212 annex; where both lengths are in use, three
/// is what handsets assume).
fn mnc_digits(imsi: &str) -> usize {
    let mcc: u16 = imsi[..3].parse().unwrap_or(0);
    match mcc {
        302 | 310..=316 | 334 | 338 | 342 | 344 | 346 | 348 | 352 | 354 | 356 | 358 | 360 | 365 | 376 => 3,
        405 | 708 | 722 | 732 | 750 => 3,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags() -> UeFlags {
        UeFlags {
            imsi: "001010000000001".to_owned(),
            k: "465b5ce8b199b49faa5f0a2ee238a6bc".to_owned(),
            opc: Some("cd63cb71954a9f4e48a5994e37a02baf".to_owned()),
            ..UeFlags::default()
        }
    }

    #[test]
    fn everything_follows_from_the_imsi() {
        let s = flags().subscription().unwrap();
        assert_eq!(s.realm.as_str(), "ims.mnc001.mcc001.3gppnetwork.org");
        assert_eq!(s.impi.as_str(), "001010000000001@ims.mnc001.mcc001.3gppnetwork.org");
        assert_eq!(s.impu.as_str(), "sip:001010000000001@ims.mnc001.mcc001.3gppnetwork.org");
        let s = UeFlags { imsi: "310410123456789".to_owned(), ..flags() }.subscription().unwrap();
        assert_eq!(s.realm.as_str(), "ims.mnc410.mcc310.3gppnetwork.org");
    }

    #[test]
    fn op_and_opc_give_the_same_usim() {
        // TS 35.208 test set 1.
        let op = Some("cdc202d5123e20f62b6d676ac72cb318".to_owned());
        let with_op = UeFlags { op, opc: None, ..flags() }.subscription().unwrap();
        let with_opc = flags().subscription().unwrap();
        let rand = [7; 16];
        let autn = [9; 16];
        // The same verdict is not enough: a resynchronisation shows the keys.
        let verdict = |mut usim: Usim| format!("{:?}", usim.authenticate(&rand, &autn));
        assert_eq!(verdict(with_op.usim), verdict(with_opc.usim));
    }

    #[test]
    fn all_faults_and_no_keys() {
        let wrong = UeFlags {
            imsi: "12".to_owned(),
            k: "465b5ce8b199b49faa5f0a2ee238a6b".to_owned(),
            opc: None,
            sqn: Some("xyz".to_owned()),
            ..flags()
        };
        assert_eq!(
            wrong.subscription().unwrap_err().to_string(),
            "--imsi: \"12\" found, 6 to 15 digits expected\n\
             --k: \"..\" (31 characters) found, 32 hexadecimal digits expected\n\
             --opc: missing, --opc or --op with 32 hexadecimal digits expected\n\
             --sqn: \"xyz\" found, 1 to 12 hexadecimal digits expected"
        );
    }
}
