//! The page at `/`: what is watched, what has failed, and where the rest is.

use std::fmt;

use hyper::{
    StatusCode,
    header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY},
};

use super::{
    Overview, path,
    respond::{Response, respond},
};
use crate::version;

/// How many failed units are named; the others are counted.
const MAX_FAILED: usize = 100;

/// Nothing is loaded, run, sent or framed; the style in the page is all there is.
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

/// Text from outside, with what HTML would take for its own spelt out.
struct Escaped<'a>(&'a str);

/// The whole page.
struct LandingPage<'a> {
    overview: &'a Overview,
    ready: Result<(), String>,
    telemetry_path: &'a str,
}

/// The landing page.
pub(super) fn page(
    overview: &Overview,
    ready: Result<(), String>,
    telemetry_path: &str,
) -> Response {
    let page = LandingPage { overview, ready, telemetry_path }.to_string();
    let mut response = respond(StatusCode::OK, page.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

// === impl LandingPage ===

impl fmt::Display for LandingPage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = version::VERSION;
        write!(
            f,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>unitwatch</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
             <h1>unitwatch <small>{version}</small></h1>\n\
             <p>A Prometheus exporter for systemd.</p>\n<nav>"
        )?;
        for (link, name) in
            [(self.telemetry_path, "Metrics"), (path::HEALTHY, "Healthy"), (path::READY, "Ready")]
        {
            write!(f, "<a href=\"{}\">{name}</a>", Escaped(link))?;
        }
        f.write_str("</nav>\n<h2>systemd</h2>\n<dl>\n")?;
        match &self.ready {
            Ok(()) => f.write_str("<dt>ready</dt><dd>yes</dd>\n")?,
            Err(reason) => {
                writeln!(f, "<dt>ready</dt><dd class=\"bad\">no: {}</dd>", Escaped(reason))?;
            }
        }
        for (term, value) in &self.overview.facts {
            writeln!(f, "<dt>{}</dt><dd>{}</dd>", Escaped(term), Escaped(value))?;
        }
        f.write_str("</dl>\n<h2>Failed units</h2>\n")?;
        let failed = &self.overview.failed_units;
        if failed.is_empty() {
            f.write_str("<p>None.</p>\n")?;
        } else {
            f.write_str("<ul>\n")?;
            for name in failed.iter().take(MAX_FAILED) {
                writeln!(f, "<li><code class=\"bad\">{}</code></li>", Escaped(name))?;
            }
            f.write_str("</ul>\n")?;
            if let Some(more @ 1..) = failed.len().checked_sub(MAX_FAILED) {
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
            facts: vec![("systemd", "252 <b>".into()), ("connection", "system bus".into())],
            failed_units,
        };
        LandingPage { overview: &overview, ready, telemetry_path: "/m&\"x" }.to_string()
    }

    #[test]
    fn nothing_from_outside_becomes_markup() {
        let page = render(vec!["<script>'é\"&.service".into()], Err("</dd><img src=x>".into()));
        assert!(page.contains("&lt;script&gt;&#39;é&quot;&amp;.service"), "{page}");
        assert!(page.contains("no: &lt;/dd&gt;&lt;img src=x&gt;"), "{page}");
        assert!(page.contains("252 &lt;b&gt;"), "{page}");
        assert!(page.contains("href=\"/m&amp;&quot;x\""), "{page}");
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("<b>"));
    }

    #[test]
    fn the_list_of_failed_units_has_an_end() {
        let names = |n: usize| (0..n).map(|i| format!("u{i}.service")).collect();
        assert!(render(names(0), Ok(())).contains("<p>None.</p>"));
        let full = render(names(MAX_FAILED), Ok(()));
        assert!(full.contains("u99.service") && !full.contains(" more</p>"));
        let over = render(names(MAX_FAILED + 7), Ok(()));
        assert!(over.contains("u99.service") && !over.contains("u100.service"));
        assert!(over.contains("<p>and 7 more</p>"));
    }
}
