//! Small charts, drawn on the server.
//!
//! Belongs here: from numbers to a picture. Does not: where the numbers come from.

use std::fmt::Write as _;

/// A line over days, in a picture of 100 by 30.
pub(super) struct Spark {
    pub(super) line: String,
    pub(super) area: String,
    /// For who can't see it.
    pub(super) said: String,
}

impl Spark {
    /// `None` where there is nothing to draw.
    pub(super) fn new(days: &[u64], said: String) -> Option<Self> {
        let most = days.iter().copied().max().filter(|most| *most > 0)?;
        let last = days.len().checked_sub(1).filter(|last| *last > 0)?;
        let mut line = String::new();
        for (day, n) in days.iter().enumerate() {
            // In tenths, by whole numbers.
            let x = 1000 * day / last;
            let y = 290 - (260 * u128::from(*n) / u128::from(most));
            let mark = if day == 0 { 'M' } else { 'L' };
            let _never_fails = write!(line, "{mark}{}.{} {}.{}", x / 10, x % 10, y / 10, y % 10);
        }
        let area = format!("{line}L100 30L0 30Z");
        Some(Self { line, area, said })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_day_is_at_the_top() {
        let spark = Spark::new(&[0, 5, 10], String::new()).unwrap();
        assert_eq!(spark.line, "M0.0 29.0L50.0 16.0L100.0 3.0");
        assert!(Spark::new(&[0, 0], String::new()).is_none());
        assert!(Spark::new(&[3], String::new()).is_none());
    }
}
