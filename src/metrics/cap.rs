//! The cap on the series of a family. Units are dropped whole, so that sums over a family are never
//! partial.

use std::{fmt, num::NonZeroUsize};

use super::writer::SeriesCounts;

/// What the cap keeps and what it drops.
#[derive(Debug, PartialEq)]
pub(super) struct Cut {
    /// How many rows are kept, from the first.
    pub(super) kept: usize,
    /// The series dropped from each per-unit family, 0 included.
    pub(super) dropped: SeriesCounts,
}

/// Finds how many rows can be kept before a family has more than `max` series.
///
/// `count` counts the series of some rows by family. A row has the same series whatever the other
/// rows are, and at most `most` in one family.
pub(super) fn cut<R>(
    rows: &[R],
    max: Option<NonZeroUsize>,
    most: usize,
    count: impl Fn(&[R]) -> Result<SeriesCounts, fmt::Error>,
) -> Result<Cut, fmt::Error> {
    let max = max.filter(|max| rows.len().saturating_mul(most) > max.get());
    // Most hosts are so far below the cap that nothing has to be counted.
    let Some(max) = max.and_then(|max| u64::try_from(max.get()).ok()) else {
        return Ok(Cut { kept: rows.len(), dropped: count(&[])? });
    };
    let fits = |counts: &SeriesCounts| counts.values().all(|series| *series <= max);
    let mut dropped = count(rows)?;
    let (mut kept, mut served) =
        if fits(&dropped) { (rows.len(), dropped.clone()) } else { (0, SeriesCounts::new()) };
    // The first `kept` rows fit and the first `beyond` do not. Each step counts half of the rows
    // between, so all steps together count every row once more.
    let mut beyond = rows.len();
    while beyond - kept > 1 {
        let middle = kept.midpoint(beyond);
        let mut counts = count(rows.get(kept..middle).unwrap_or_default())?;
        for (family, series) in &served {
            *counts.entry(family).or_default() += series;
        }
        if fits(&counts) {
            (kept, served) = (middle, counts);
        } else {
            beyond = middle;
        }
    }
    for (family, series) in &mut dropped {
        *series -= served.get(family).unwrap_or(&0);
    }
    Ok(Cut { kept, dropped })
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;

    /// A row of the test is the number of series that it has in each of these families.
    const FAMILIES: [&str; 3] = ["a", "b", "c"];

    type Row = [u64; 3];

    #[allow(clippy::unnecessary_wraps, reason = "as the real one")]
    fn count(rows: &[Row]) -> Result<SeriesCounts, fmt::Error> {
        let of = |at: usize| rows.iter().map(|row| row[at]).sum();
        Ok(FAMILIES.into_iter().enumerate().map(|(at, family)| (family, of(at))).collect())
    }

    fn limit(max: usize) -> Option<NonZeroUsize> {
        NonZeroUsize::new(max)
    }

    #[test]
    fn rows_are_kept_until_the_first_family_is_full() {
        let rows = [[1, 0, 2], [1, 5, 0], [1, 0, 1], [1, 0, 0]];
        for (max, kept, dropped) in [
            (1, 0, [4, 5, 3]),
            (2, 1, [3, 5, 1]),
            (4, 1, [3, 5, 1]),
            (5, 4, [0, 0, 0]),
            (0, 4, [0, 0, 0]),
        ] {
            let dropped = FAMILIES.into_iter().zip(dropped).collect();
            assert_eq!(cut(&rows, limit(max), 5, count), Ok(Cut { kept, dropped }), "{max}");
        }
    }

    #[test]
    fn without_rows_nothing_is_dropped() {
        let dropped: SeriesCounts = FAMILIES.into_iter().map(|family| (family, 0)).collect();
        for max in [0, 1] {
            let empty = Cut { kept: 0, dropped: dropped.clone() };
            assert_eq!(cut(&[], limit(max), 5, count), Ok(empty));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn as_many_rows_are_kept_as_fit(
            rows in collection::vec([0..8_u64, 0..3_u64, 0..20_u64], 0..50),
            max in 1..300_usize,
        ) {
            let cut = cut(&rows, limit(max), 20, count).unwrap();
            let fits = |kept: usize| {
                count(&rows[..kept]).unwrap().values().all(|series| *series <= max as u64)
            };
            prop_assert!(fits(cut.kept));
            prop_assert!(cut.kept == rows.len() || !fits(cut.kept + 1));
            prop_assert_eq!(cut.dropped, count(&rows[cut.kept..]).unwrap());
        }
    }
}
