//! The retry budget: retries are paid from what requests earn, so a failing upstream never gets a multiple of the load.
//!
//! Belongs here: the token bucket. Does not: when to retry (`fetch`).

use parking_lot::Mutex;

use super::settings::RetrySettings;

/// Hundredths of a retry, earned by requests and spent by retries.
#[derive(Debug)]
pub(super) struct RetryBudget {
    earned: u64,
    most: u64,
    saved: Mutex<u64>,
}

impl RetryBudget {
    /// A full budget.
    pub(super) fn new(settings: &RetrySettings) -> Self {
        let most = u64::from(settings.budget_burst) * 100;
        Self { earned: u64::from(settings.budget_percent), most, saved: Mutex::new(most) }
    }

    /// A request was made.
    pub(super) fn earn(&self) {
        let mut saved = self.saved.lock();
        *saved = saved.saturating_add(self.earned).min(self.most);
    }

    /// Whether one retry may be made; it is paid for then.
    pub(super) fn spend(&self) -> bool {
        let mut saved = self.saved.lock();
        let Some(rest) = saved.checked_sub(100) else { return false };
        *saved = rest;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_share_of_requests() {
        let settings = RetrySettings { budget_percent: 20, budget_burst: 2, ..RetrySettings::default() };
        let budget = RetryBudget::new(&settings);
        assert_eq!([budget.spend(), budget.spend(), budget.spend()], [true, true, false]);
        for _ in 0..4 {
            budget.earn();
            assert!(!budget.spend());
        }
        budget.earn();
        assert!(budget.spend());
        for _ in 0..1000 {
            budget.earn();
        }
        assert_eq!([budget.spend(), budget.spend(), budget.spend()], [true, true, false]);
    }
}
