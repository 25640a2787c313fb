//! The paths that are served.

use std::str::FromStr;

use hyper::http::uri::PathAndQuery;

/// Where the landing page is.
pub(super) const LANDING: &str = "/";
/// Where the process says that it lives.
pub(super) const HEALTHY: &str = "/-/healthy";
/// Where the exporter says whether its table is in step with systemd.
pub(super) const READY: &str = "/-/ready";

/// Where the metrics are: a path as it stands in a request, compared byte by byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetryPath(String);

/// A path under which no metrics can be served.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum PathError {
    #[error("must start with \"/\"")]
    Relative,
    #[error("must be a plain path, of characters that may stand in a URL")]
    Malformed,
    #[error("is already the path of the {0}")]
    Taken(&'static str),
}

// === impl TelemetryPath ===

impl TelemetryPath {
    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TelemetryPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        if !text.starts_with('/') {
            return Err(PathError::Relative);
        }
        match text {
            LANDING => return Err(PathError::Taken("landing page")),
            HEALTHY | READY => return Err(PathError::Taken("health checks")),
            _ => {}
        }
        // A query or a fragment would be cut off, and nothing would ever match.
        match PathAndQuery::try_from(text) {
            Ok(parsed) if parsed.path() == text => Ok(Self(text.to_owned())),
            _ => Err(PathError::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_absolute_paths_that_are_free_are_taken() {
        for path in ["/metrics", "/a/b", "/metrics/", "/a%20b", "/-/metrics"] {
            assert_eq!(path.parse::<TelemetryPath>().unwrap().as_str(), path);
        }
        for (path, error) in [
            ("", PathError::Relative),
            ("metrics", PathError::Relative),
            ("http://a/metrics", PathError::Relative),
            ("/", PathError::Taken("landing page")),
            ("/-/healthy", PathError::Taken("health checks")),
            ("/-/ready", PathError::Taken("health checks")),
            ("/metrics?a=b", PathError::Malformed),
            ("/metrics#a", PathError::Malformed),
            ("/a b", PathError::Malformed),
            ("/a\nb", PathError::Malformed),
        ] {
            assert_eq!(path.parse::<TelemetryPath>(), Err(error), "{path:?}");
        }
    }
}
