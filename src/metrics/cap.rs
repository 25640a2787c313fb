//! The cap on the series of a family: what would go beyond it is left out a whole unit at a time,
//! so that nobody adds up halves.

use std::{fmt, num::NonZeroUsize};

use super::writer::SeriesCounts;

/// What is told under the cap, and what is not.
#[derive(Debug, PartialEq)]
pub(super) struct Cut {
    /// How many rows are told, counted from the first.
    pub(super) kept: usize,
    /// The series that are withheld, by family: every family that has one for each row is named.
    pub(super) withheld: SeriesCounts,
}

/// Finds how many rows can be told before a family has more than `max` series.
///
/// `count` counts the series that some rows have in each family; a row has the same ones whatever
/// other rows there are, and no more than `most` in one family.
pub(super) fn cut<R>(
    rows: &[R],
    max: Option<NonZeroUsize>,
    most: usize,
    count: impl Fn(&[R]) -> Result<SeriesCounts, fmt::Error>,
) -> Result<Cut, fmt::Error> {
    let max = max.filter(|max| rows.len().saturating_mul(most) > max.get());
    // On most hosts there is nothing to count.
    let Some(max) = max.and_then(|max| u64::try_from(max.get()).ok()) else {
        return Ok(Cut { kept: rows.len(), withheld: count(&[])? });
    };
    let fits = |counts: &SeriesCounts| counts.values().all(|series| *series <= max);
    let mut withheld = count(rows)?;
    let (mut kept, mut told) =
        if fits(&withheld) { (rows.len(), withheld.clone()) } else { (0, SeriesCounts::new()) };
    // The first `kept` rows fit and the first `beyond` do not. Only what lies between is counted,
    // and is halved each time: that is all of them once more, not once for each step.
    let mut beyond = rows.len();
    while beyond - kept > 1 {
        let middle = kept.midpoint(beyond);
        let mut counts = count(rows.get(kept..middle).unwrap_or_default())?;
        for (family, series) in &told {
            *counts.entry(family).or_default() += series;
        }
        if fits(&counts) {
            (kept, told) = (middle, counts);
        } else {
            beyond = middle;
        }
    }
    for (family, series) in &mut withheld {
        *series -= told.get(family).unwrap_or(&0);
    }
    Ok(Cut { kept, withheld })
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
    fn the_first_family_to_be_full_decides_for_all() {
        let rows = [[1, 0, 2], [1, 5, 0], [1, 0, 1], [1, 0, 0]];
        for (max, kept, withheld) in [
            (1, 0, [4, 5, 3]),
            (2, 1, [3, 5, 1]),
            (4, 1, [3, 5, 1]),
            (5, 4, [0, 0, 0]),
            (0, 4, [0, 0, 0]),
        ] {
            let withheld = FAMILIES.into_iter().zip(withheld).collect();
            assert_eq!(cut(&rows, limit(max), 5, count), Ok(Cut { kept, withheld }), "{max}");
        }
    }

    #[test]
    fn of_nothing_nothing_is_withheld() {
        let withheld: SeriesCounts = FAMILIES.into_iter().map(|family| (family, 0)).collect();
        for max in [0, 1] {
            let nothing = Cut { kept: 0, withheld: withheld.clone() };
            assert_eq!(cut(&[], limit(max), 5, count), Ok(nothing));
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
            prop_assert_eq!(cut.withheld, count(&rows[cut.kept..]).unwrap());
        }
    }
}
