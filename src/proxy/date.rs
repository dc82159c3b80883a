//! The `Date` header, made once a second instead of once a request.

use std::cell::RefCell;

use http::header::HeaderValue;

use crate::clock::{Clock, SystemClock};

thread_local! {
    static LAST: RefCell<(i64, HeaderValue)> = const { RefCell::new((-1, HeaderValue::from_static(""))) };
}

/// The current `Date` value (RFC 9110 section 6.6.1). The machine's time, also under a test's clock: clients compare it with theirs.
pub(super) fn now() -> HeaderValue {
    let now = SystemClock.now();
    LAST.with_borrow_mut(|(second, value)| {
        if *second != now.seconds() {
            if let Ok(fresh) = HeaderValue::from_str(&crate::http::date::format(now)) {
                *value = fresh;
            }
            *second = now.seconds();
        }
        value.clone()
    })
}
