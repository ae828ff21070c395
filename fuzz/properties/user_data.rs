//! What holds for every sequence of octets taken as user data. The fuzz target and `tests/cx_user_data.rs` call it.

use imsreg::cx::user_data::ImsSubscription;

/// Reading ends without a panic; what was read is written so that it reads the same; the default identity is the first of
/// the set and not barred.
pub(crate) fn user_data(bytes: &[u8]) {
    let Ok(subscription) = ImsSubscription::parse(bytes) else { return };
    let default = subscription.default_impu();
    assert_eq!(default, subscription.associated_uris().next());
    let mut identities = subscription.profiles.iter().flat_map(|profile| &profile.identities);
    assert!(default.is_none_or(|impu| identities.any(|i| i.identity == impu && !i.barred)));
    let mut written = Vec::new();
    subscription.write(&mut written);
    assert_eq!(ImsSubscription::parse(&written), Ok(subscription));
}
