//! The labels of a unit's samples, rendered once for many of them.

use super::family::FamilyOf;

/// The labels `user`, `name` and `type` of a unit: `user="…",name="…",type="…"`.
#[derive(Debug)]
pub(super) struct UnitLabels {
    text: String,
    /// Where the label `name` ends.
    name_end: usize,
}

/// Labels that follow those of a unit, rendered once for many samples: `,state="active"`.
#[derive(Debug)]
pub(super) struct RenderedLabels<const M: usize> {
    text: String,
    #[cfg(test)]
    pub(super) values: [String; M],
}

/// The labels of one sample of a unit, in a family with `N` labels.
pub(super) trait SampleLabels<const N: usize> {
    /// Appends them to a line. `names` are those of the family's labels.
    fn write(&self, names: &[&str], line: &mut String);

    /// The values of all labels but `user`.
    #[cfg(test)]
    fn values(&self) -> Vec<&str>;
}

// === impl UnitLabels ===

impl UnitLabels {
    pub(super) fn new(user: Option<&str>, name: &str, unit_type: &str) -> Self {
        const KEYS: usize = r#"user="",name="",type="""#.len();
        let values = user.map_or(0, str::len) + name.len() + unit_type.len();
        let mut text = String::with_capacity(KEYS + 2 * values);
        if let Some(user) = user {
            push("user", user, &mut text);
            text.push(',');
        }
        push("name", name, &mut text);
        let name_end = text.len();
        text.push(',');
        push("type", unit_type, &mut text);
        Self { text, name_end }
    }

    /// With the label `type`.
    pub(super) fn all(&self) -> &str {
        &self.text
    }

    /// Without the label `type`.
    pub(super) fn name(&self) -> &str {
        self.text.get(..self.name_end).unwrap_or_default()
    }
}

// === impl RenderedLabels ===

impl<const M: usize> RenderedLabels<M> {
    /// Renders the last labels of a family.
    pub(super) fn new<const N: usize>(family: &FamilyOf<N>, values: [&str; M]) -> Self {
        const { assert!(N == M + 1 || N == M + 2, "the other labels are name and type") };
        let mut text = String::new();
        for (name, value) in family.0.labels.iter().skip(N - M).zip(values) {
            text.push(',');
            push(name, value, &mut text);
        }
        Self {
            text,
            #[cfg(test)]
            values: values.map(str::to_owned),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

/// Appends `key="value"`, escaped as both formats want it.
pub(super) fn push(key: &str, value: &str, into: &mut String) {
    into.push_str(key);
    into.push_str("=\"");
    // Split at each special character, so that what lies between them is copied in one go.
    let mut rest = value;
    while let Some((plain, special)) = split_at_special(rest) {
        into.push_str(plain);
        let mut chars = special.chars();
        into.push_str(match chars.next() {
            Some('\\') => "\\\\",
            Some('"') => "\\\"",
            _ => "\\n",
        });
        rest = chars.as_str();
    }
    into.push_str(rest);
    into.push('"');
}

fn split_at_special(value: &str) -> Option<(&str, &str)> {
    let special = memchr::memchr3(b'\\', b'"', b'\n', value.as_bytes())?;
    value.split_at_checked(special)
}
