//! Dates in heads, made once instead of once a request.

use std::cell::RefCell;

use http::header::HeaderValue;

use crate::clock::{Clock, SystemClock, UnixMillis};

/// How many moments a worker remembers.
const MOMENTS: u8 = 64;

thread_local! {
    /// `Last-Modified` values by second, each second in the one place it can have.
    static MOMENT: RefCell<[(i64, HeaderValue); MOMENTS as usize]> =
        const { RefCell::new([const { (i64::MIN, HeaderValue::from_static("")) }; MOMENTS as usize]) };
    static LAST: RefCell<(i64, HeaderValue)> = const { RefCell::new((-1, HeaderValue::from_static(""))) };
}

/// The `Last-Modified` value of a moment (RFC 9110 section 8.8.2); `None` only for dates that can't be written.
pub(super) fn of(moment: UnixMillis) -> Option<HeaderValue> {
    let second = moment.seconds();
    let place = usize::try_from(second.rem_euclid(i64::from(MOMENTS))).unwrap_or(0);
    MOMENT.with_borrow_mut(|moments| {
        let (known, value) = moments.get_mut(place)?;
        if *known != second {
            *value = HeaderValue::from_str(&crate::http::date::format(moment)).ok()?;
            *known = second;
        }
        Some(value.clone())
    })
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
