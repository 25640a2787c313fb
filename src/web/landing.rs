//! The landing page: links, facts and problems.

use std::fmt;

use hyper::{
    StatusCode,
    header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY},
};

use super::Overview;
use crate::{
    http::{Response, respond},
    version,
};

/// How many items of a list are shown; the others are counted.
const MAX_ITEMS: usize = 100;

/// The page may use its own style, and nothing else: no scripts, images, forms or frames.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = "\
:root{color-scheme:light dark;--line:color-mix(in srgb,currentColor 20%,transparent)}\
body{font:1rem/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem}\
h1{margin:0}h1 small{font-weight:normal;font-size:1rem;opacity:.7}\
h2{font-size:1.1rem;margin:2rem 0 .5rem;border-bottom:1px solid var(--line)}\
dl{display:grid;grid-template-columns:max-content auto;gap:.2rem 1.5rem;margin:0}\
dt{opacity:.7}dd{margin:0;overflow-wrap:anywhere}\
ul{margin:0;padding-left:1.2rem}li{overflow-wrap:anywhere}\
code{font-family:ui-monospace,monospace}.bad{color:light-dark(#b00020,#ff7b8a)}\
nav a{margin-right:1.5rem}";

/// Text with the special characters of HTML escaped.
struct Escaped<'a>(&'a str);

/// The page as HTML.
struct LandingPage<'a> {
    subject: &'a str,
    links: [(&'a str, &'a str); 3],
    ready: Result<(), String>,
    overview: &'a Overview,
}

/// The landing page. A link is an address and its text.
pub(super) fn page(
    subject: &str,
    links: [(&str, &str); 3],
    ready: Result<(), String>,
    overview: &Overview,
) -> Response {
    let page = LandingPage { subject, links, ready, overview }.to_string();
    let mut response = respond(StatusCode::OK, "text/html; charset=utf-8", page);
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

// === impl LandingPage ===

impl fmt::Display for LandingPage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (version, subject) = (version::VERSION, Escaped(self.subject));
        write!(
            f,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>unitwatch</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
             <h1>unitwatch <small>{version}</small></h1>\n\
             <p>A Prometheus exporter for {subject}.</p>\n<nav>"
        )?;
        for (address, name) in self.links {
            write!(f, "<a href=\"{}\">{name}</a>", Escaped(address))?;
        }
        write!(f, "</nav>\n<h2>{subject}</h2>\n<dl>\n")?;
        match &self.ready {
            Ok(()) => f.write_str("<dt>ready</dt><dd>yes</dd>\n")?,
            Err(reason) => {
                writeln!(f, "<dt>ready</dt><dd class=\"bad\">no: {}</dd>", Escaped(reason))?;
            }
        }
        for (term, value) in &self.overview.facts {
            writeln!(f, "<dt>{}</dt><dd>{}</dd>", Escaped(term), Escaped(value))?;
        }
        f.write_str("</dl>\n")?;
        for (title, items) in &self.overview.problems {
            writeln!(f, "<h2>{}</h2>", Escaped(title))?;
            if items.is_empty() {
                f.write_str("<p>None.</p>\n")?;
                continue;
            }
            f.write_str("<ul>\n")?;
            for item in items.iter().take(MAX_ITEMS) {
                writeln!(f, "<li><code class=\"bad\">{}</code></li>", Escaped(item))?;
            }
            f.write_str("</ul>\n")?;
            if let Some(more @ 1..) = items.len().checked_sub(MAX_ITEMS) {
                writeln!(f, "<p>and {more} more</p>")?;
            }
        }
        f.write_str("</body>\n</html>\n")
    }
}

// === impl Escaped ===

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            let (plain, special) = rest.split_at(at);
            let mut special = special.chars();
            f.write_str(plain)?;
            f.write_str(match special.next() {
                Some('&') => "&amp;",
                Some('<') => "&lt;",
                Some('>') => "&gt;",
                Some('"') => "&quot;",
                _ => "&#39;",
            })?;
            rest = special.as_str();
        }
        f.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(failed_units: Vec<String>, ready: Result<(), String>) -> String {
        let overview = Overview {
            facts: vec![("version", "252 <b>".into()), ("connection", "system bus".into())],
            problems: vec![("Failed units", failed_units)],
        };
        let links = [("/m&\"x", "Metrics"), ("/a", "A"), ("/b", "B")];
        LandingPage { subject: "systemd", links, ready, overview: &overview }.to_string()
    }

    #[test]
    fn every_text_is_escaped() {
        let page = render(vec!["<script>'é\"&.service".into()], Err("</dd><img src=x>".into()));
        assert!(page.contains("&lt;script&gt;&#39;é&quot;&amp;.service"), "{page}");
        assert!(page.contains("no: &lt;/dd&gt;&lt;img src=x&gt;"), "{page}");
        assert!(page.contains("252 &lt;b&gt;"), "{page}");
        assert!(page.contains("href=\"/m&amp;&quot;x\""), "{page}");
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("<b>"));
    }

    #[test]
    fn headings_come_in_the_order_of_the_overview() {
        let page = render(Vec::new(), Ok(()));
        let headings: Vec<_> = page.lines().filter(|line| line.starts_with("<h2>")).collect();
        assert_eq!(headings, ["<h2>systemd</h2>", "<h2>Failed units</h2>"]);
    }

    #[test]
    fn a_list_shows_a_hundred_items_and_counts_the_others() {
        let names = |n: usize| (0..n).map(|i| format!("u{i}.service")).collect();
        assert!(render(names(0), Ok(())).contains("<p>None.</p>"));
        let full = render(names(MAX_ITEMS), Ok(()));
        assert!(full.contains("u99.service") && !full.contains(" more</p>"));
        let over = render(names(MAX_ITEMS + 7), Ok(()));
        assert!(over.contains("u99.service") && !over.contains("u100.service"));
        assert!(over.contains("<p>and 7 more</p>"));
    }
}
