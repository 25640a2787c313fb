//! The value of a sample, and how it is written.

use std::fmt::{self, Write as _};

use crate::clock::Usec;

/// The value of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    /// Counts, bytes and states.
    Integer(u64),
    /// A time or a duration. It is written in seconds.
    Microseconds(Usec),
    /// All else.
    Float(f64),
}

/// A time or a duration, as a value in seconds.
pub(super) fn seconds(usec: Usec) -> Value {
    Value::Microseconds(usec)
}

/// Microseconds as seconds, as exact as a double can be.
#[allow(clippy::cast_precision_loss, reason = "a double holds 285 years of microseconds")]
pub(super) fn as_seconds(usec: Usec) -> f64 {
    usec as f64 / 1e6
}

// === impl Value ===

impl Value {
    /// Appends the value to a line, exact to the microsecond.
    pub(super) fn write(self, line: &mut String) -> fmt::Result {
        match self {
            // Most are states.
            Self::Integer(0) => line.push('0'),
            Self::Integer(1) => line.push('1'),
            Self::Integer(number) => line.push_str(itoa::Buffer::new().format(number)),
            Self::Microseconds(usec) => write_seconds(usec, line),
            Self::Float(number) => write!(line, "{number:?}")?,
        }
        Ok(())
    }
}

fn write_seconds(usec: Usec, line: &mut String) {
    const SECOND: Usec = 1_000_000;
    line.push_str(itoa::Buffer::new().format(usec / SECOND));
    // One second more, so that the fraction keeps the zeros that it begins with.
    let mut buffer = itoa::Buffer::new();
    let fraction = buffer.format(SECOND + usec % SECOND).get(1..).unwrap_or_default();
    let digits = fraction.trim_end_matches('0');
    line.push('.');
    line.push_str(if digits.is_empty() { "0" } else { digits });
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Integer(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(value: Value) -> String {
        let mut line = String::from("up ");
        value.write(&mut line).unwrap();
        line.split_off(3)
    }

    #[test]
    fn times_are_exact_to_the_microsecond() {
        for (usec, text) in [
            (0, "0.0"),
            (1, "0.000001"),
            (10, "0.00001"),
            (1_000, "0.001"),
            (999_999, "0.999999"),
            (1_000_000, "1.0"),
            (1_000_001, "1.000001"),
            (60_500_000, "60.5"),
            // As doubles, these two have more digits or fewer.
            (1_763_913_596_633_304, "1763913596.633304"),
            (Usec::MAX, "18446744073709.551615"),
        ] {
            assert_eq!(written(seconds(usec)), text);
        }
    }

    #[test]
    fn other_numbers_are_written_as_such() {
        assert_eq!(written(u64::MAX.into()), "18446744073709551615");
        assert_eq!(written(0.5.into()), "0.5");
        assert_eq!(written(252.0.into()), "252.0");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_digit_of_a_time_is_lost(usec in any::<Usec>()) {
            let text = written(seconds(usec));
            let (whole, fraction) = text.split_once('.').unwrap();
            prop_assert!(!fraction.is_empty() && fraction.len() <= 6);
            let usec_of = |digits: &str| digits.parse::<Usec>().unwrap();
            prop_assert_eq!(usec_of(whole) * 1_000_000 + usec_of(&format!("{fraction:0<6}")), usec);
        }
    }
}
