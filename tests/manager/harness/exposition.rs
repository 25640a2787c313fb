//! The samples of a scrape, by name and labels, and a minimal HTTP client.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read, Write},
    net::TcpStream,
};

use super::PATIENCE;
use crate::sample::sample;

/// A sample's name and its labels, sorted.
pub type Key = (String, BTreeMap<String, String>);

/// The samples of one scrape.
#[derive(Debug)]
pub struct Exposition(pub BTreeMap<Key, f64>);

impl Exposition {
    pub fn parse(text: &str) -> Self {
        let mut samples = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (name, labels, value) =
                sample(line).unwrap_or_else(|| panic!("not a sample: {line:?}"));
            let key = (name, labels.into_iter().collect());
            assert!(samples.insert(key, value.parse().unwrap()).is_none(), "twice: {line:?}");
        }
        Self(samples)
    }

    /// The value of a sample.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.0.get(&key(name, labels)).copied()
    }

    /// The sum of all samples of a name.
    pub fn sum(&self, name: &str) -> f64 {
        self.of(name).map(|(_, value)| value).sum()
    }

    /// All samples of a name.
    pub fn of<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Iterator<Item = (&'a BTreeMap<String, String>, f64)> {
        self.0
            .iter()
            .filter(move |((this, _), _)| this == name)
            .map(|((_, labels), value)| (labels, *value))
    }

    /// The labels `name` of a family that begin with `prefix`.
    pub fn names(&self, family: &str, prefix: &str) -> BTreeSet<String> {
        let names = self.of(family).map(|(labels, _)| labels["name"].clone());
        names.filter(|name| name.starts_with(prefix)).collect()
    }
}

/// The key of a sample.
pub fn key(name: &str, labels: &[(&str, &str)]) -> Key {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    (name.to_owned(), labels.collect())
}

/// Status and body of a GET, which must be answered.
pub fn get(address: &str, path: &str, accept: &str) -> (u16, String) {
    try_get(address, path, accept).expect("the exporter answers")
}

/// Status and body of a GET.
pub fn try_get(address: &str, path: &str, accept: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: test\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    )?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let answer = || {
        let (head, body) = response.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    };
    answer().ok_or_else(|| io::Error::other(format!("no whole response: {response:?}")))
}
