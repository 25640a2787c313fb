//! The one parser of a sample line, for the strict reader of whole pages and for the tests that look
//! single values up.

/// Labels in the order of the line.
pub type Labels = Vec<(String, String)>;

/// The name, the labels and the value of a sample line; `None` if it is not one.
pub fn sample(line: &str) -> Option<(String, Labels, String)> {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"")?;
            let mut value = String::new();
            let mut chars = after.char_indices();
            let end = loop {
                match chars.next()? {
                    (at, '"') => break at,
                    (_, '\\') => value.push(match chars.next()?.1 {
                        'n' => '\n',
                        special @ ('\\' | '"') => special,
                        _ => return None,
                    }),
                    (_, plain) => value.push(plain),
                }
            };
            is_name(label).then(|| labels.push((label.to_owned(), value)))?;
            rest = &after[end + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}')?;
    }
    let value = rest.strip_prefix(' ')?;
    let number = !value.contains(' ') && value.parse::<f64>().is_ok_and(f64::is_finite);
    (is_name(name) && number).then(|| (name.to_owned(), labels, value.to_owned()))
}
