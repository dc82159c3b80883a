//! Charts of bars, drawn on the server.
//!
//! The picture is stretched to whatever room there is, so everything that has to be read stands beside it.
//!
//! Belongs here: from numbers to a picture and its scale. Does not: where the numbers come from.

use std::fmt::Write as _;

/// The picture's width and height.
const WIDE: u128 = 1000;
const HIGH: u128 = 1000;

/// Bars made of parts that stand one upon the other.
pub(super) struct Bars<const PARTS: usize> {
    /// For each part what an SVG path draws, the lowest first.
    pub(super) paths: [String; PARTS],
}

impl<const PARTS: usize> Bars<PARTS> {
    /// Of bars from left to right, each with its parts from below; `top` is what reaches the upper edge.
    pub(super) fn new(bars: &[[u64; PARTS]], top: u64) -> Self {
        let (slots, top) = (bars.len().max(1) as u128, u128::from(top.max(1)));
        let wide = (WIDE * 8 / 10 / slots).max(1);
        let mut paths = [const { String::new() }; PARTS];
        for (at, bar) in bars.iter().enumerate() {
            // In the middle of its slot.
            let left = WIDE * at as u128 / slots + WIDE / 10 / slots;
            let mut sum = 0_u128;
            for (path, part) in paths.iter_mut().zip(bar) {
                let from = height(sum, top);
                sum += u128::from(*part);
                let to = height(sum, top);
                if *part > 0 {
                    let _never_fails = write!(path, "M{left} {from}h{wide}V{to}h-{wide}z");
                }
            }
        }
        Self { paths }
    }
}

fn height(n: u128, top: u128) -> u128 {
    HIGH.saturating_sub(HIGH * n / top)
}

/// The upper edge of a scale that holds `most`: twice a number that is easily read.
pub(super) fn top_of(most: u64) -> u64 {
    let mut ten = 1_u64;
    loop {
        for step in [2, 4, 10] {
            if let Some(top) = ten.checked_mul(step).filter(|top| *top >= most) {
                return top;
            }
        }
        let Some(next) = ten.checked_mul(10) else { return most };
        ten = next;
    }
}

/// The same for bytes, in the unit in which they are shown.
pub(super) fn top_of_bytes(most: u64) -> u64 {
    let mut unit = 1_u64;
    while unit < 1 << 40 && most > unit.saturating_mul(1000) {
        unit <<= 10;
    }
    top_of(most.div_ceil(unit)).saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_upon_each_other() {
        let bars = Bars::new(&[[1, 2], [0, 0], [4, 0], [0, 1]], 4);
        assert_eq!(bars.paths[0], "M25 1000h200V750h-200zM525 1000h200V0h-200z");
        assert_eq!(bars.paths[1], "M25 750h200V250h-200zM775 1000h200V750h-200z");
        assert_eq!(Bars::<1>::new(&[], 0).paths, [""]);
        let large = Bars::new(&[[u64::MAX, u64::MAX]], u64::MAX);
        assert_eq!(large.paths[0], "M100 1000h800V0h-800z");
    }

    #[test]
    fn scales_end_where_they_can_be_halved() {
        let tops = [0, 1, 3, 4, 5, 11, 99, 101, 4001].map(top_of);
        assert_eq!(tops, [2, 2, 4, 4, 10, 20, 100, 200, 10_000]);
        assert!(top_of(u64::MAX) == u64::MAX && top_of(u64::MAX - 1) >= u64::MAX - 1);
        let tops = [0, 900, 1001, 3 << 20, 900 << 20].map(top_of_bytes);
        assert_eq!(tops, [2, 1000, 2048, 4 << 20, 1000 << 20]);
        assert!(top_of_bytes(u64::MAX) >= u64::MAX / 2);
    }
}
