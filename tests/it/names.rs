//! Names in rules and names of accounts: two rooms that must make the same key of one name.
//!
//! Belongs here: that they agree. Does not: which names are good (`auth`).

use condagate::auth::name::{UserName, group_name};
use condagate::policy::access::names;
use proptest::prelude::*;

#[test]
fn a_rule_means_the_account_of_that_name() {
    for name in
        ["Alice", "ｃｉ", "Jose\u{301}", "ΣΊΣΥΦΟΣ", "Straße", "me@Example.org", "BUILD+bot_2", "Юля", "İ"]
    {
        let Ok(account) = UserName::parse(name) else { continue };
        assert_eq!(names::key(name).as_deref(), Some(account.key()), "{name}");
        assert_eq!(names::key(account.shown()).as_deref(), Some(account.key()), "{name}");
    }
}

proptest! {
    #[test]
    fn every_name_that_can_be_given_has_one_key(name in "(\\PC{0,12}|[a-zA-ZßÄéΣςЖж0-9@.+_-]{1,20})") {
        if let Ok(key) = group_name(&name) {
            prop_assert_eq!(names::key(&name), Some(key));
        }
    }
}
