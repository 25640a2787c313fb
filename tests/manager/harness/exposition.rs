//! Just enough of HTTP and of the text format to read what the exporter serves.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::TcpStream,
};

use super::PATIENCE;
use crate::sample::sample;

/// A sample's name and its labels, sorted.
pub type Key = (String, BTreeMap<String, String>);

/// What one scrape said.
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
}

pub fn key(name: &str, labels: &[(&str, &str)]) -> Key {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    (name.to_owned(), labels.collect())
}

/// A GET: status and body.
pub fn get(address: &str, path: &str, accept: &str) -> (u16, String) {
    try_get(address, path, accept).expect("the exporter answers")
}

/// The same where no answer is an answer too.
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
