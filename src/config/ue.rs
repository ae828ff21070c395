//! What a simulated UE subscribes to, from flags or from a subscriber file.

use super::fault::Faults;
use super::keys::{Keys, Operator};
use super::read::Leaf;
use super::subscribers::value::{IMPI, IMPU, IMSI, KEY_16, PASSWORD, SQN, USERNAME};
use super::usim_file::read_usim_file;
use super::value::REALM;
use crate::aka::usim::Usim;
use crate::identity::{Impi, Impu, Realm, home_domain, impi_from_imsi, temporary_impu};
use crate::sip::Uri;
use crate::ue::Login;
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
    /// Keys and SQNs; `None`: there is a password only.
    pub usim: Option<Usim>,
    /// User name and password.
    pub login: Option<Login>,
}

/// A subscription as flags give it, each text as its user wrote it.
#[derive(Clone, Default)]
#[expect(missing_docs, reason = "each is the flag of that name")]
pub struct UeFlags {
    pub imsi: String,
    pub password: Option<String>,
    pub username: Option<String>,
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
        if let Some(password) = &self.password {
            return self.with_password(password);
        }
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
        Ok(Subscription { impi, impu, realm, usim: Some(usim), login: None })
    }
}

impl UeFlags {
    /// Without USIM: the identity to register says the rest, or the IMSI.
    fn with_password(&self, password: &str) -> Result<Subscription, Faults> {
        let mut faults = Vec::new();
        let mut note = |fault: Faults| faults.extend(fault.0);
        let imsi = Some(&*self.imsi).filter(|imsi| !imsi.is_empty());
        let imsi = imsi.map(|t| read("--imsi", t, IMSI, false)).transpose().map_err(&mut note);
        let impu = self.impu.as_deref().map(|t| read("--impu", t, IMPU, false)).transpose().map_err(&mut note);
        let impi = self.impi.as_deref().map(|t| read("--impi", t, IMPI, false)).transpose().map_err(&mut note);
        let realm = self.realm.as_deref().map(|t| read("--realm", t, REALM, false)).transpose().map_err(&mut note);
        let password = read("--password", password, PASSWORD, true).map_err(&mut note);
        let username = self.username.as_deref().map(|t| read("--username", t, USERNAME, false)).transpose();
        let username = username.map_err(&mut note);
        let (Ok(imsi), Ok(impu), Ok(impi), Ok(realm), Ok(password), Ok(username)) =
            (imsi, impu, impi, realm, password, username)
        else {
            return Err(Faults(faults));
        };
        let uri = impu.as_deref().and_then(|impu| Uri::parse(impu).ok());
        let realm = match (realm, &uri, &imsi) {
            (Some(realm), ..) => Realm::new(realm),
            (None, Some(uri), None) => Realm::new(uri.host),
            (None, _, Some(imsi)) => home_domain(imsi, mnc_digits(imsi)).expect("6 digits or more, and 2 or 3 of them"),
            (None, None, None) => return Err(Faults::one("--impu", "", "missing, --impu or --imsi expected")),
        };
        let impi = match (impi, &imsi, &uri) {
            (Some(impi), ..) => impi,
            (None, Some(imsi), _) => impi_from_imsi(imsi, &realm),
            (None, None, Some(uri)) => Impi::new(uri.implied_impi()),
            (None, None, None) => return Err(Faults::one("--impu", "", "missing, a SIP URI expected")),
        };
        let username = username.unwrap_or_else(|| impi.as_str().into());
        let impu = impu.as_deref().map_or_else(|| temporary_impu(&impi), Impu::new);
        Ok(Subscription { impi, impu, realm, usim: None, login: Some(Login { username, password }) })
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
        assert_eq!(verdict(with_op.usim.unwrap()), verdict(with_opc.usim.unwrap()));
    }

    #[test]
    fn a_password_needs_an_identity_only() {
        let only = UeFlags {
            impu: Some("sip:1000@192.168.1.88:5080".to_owned()),
            password: Some("open sesame".to_owned()),
            ..UeFlags::default()
        };
        let s = only.subscription().unwrap();
        assert_eq!((s.impi.as_str(), s.realm.as_str()), ("1000@192.168.1.88", "192.168.1.88"));
        assert_eq!(s.login.as_ref().map(|l| &*l.username), Some("1000@192.168.1.88"));
        assert!(s.usim.is_none() && !format!("{s:?}").contains("sesame"));
        let named = UeFlags { username: Some("1000".to_owned()), ..only.clone() }.subscription().unwrap();
        assert_eq!(named.login.map(|l| l.username), Some("1000".into()));
        let nobody = UeFlags { impu: None, ..only }.subscription().unwrap_err();
        assert_eq!(nobody.to_string(), "--impu: missing, --impu or --imsi expected");
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
