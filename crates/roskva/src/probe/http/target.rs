//! Where an HTTP check goes, and where a redirect leads.

use std::path::PathBuf;

use crate::probe::http::http_uri;

/// One resource on one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Tcp {
        /// Host without brackets and port, as `connect` takes them.
        connect: (String, u16),
        /// As in the URL.
        authority: String,
        path: String,
    },
    Unix {
        socket: PathBuf,
        authority: String,
        path: String,
    },
}

/// Where a redirect leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Hop {
    /// To the same host.
    Local(Target),
    /// To another host, by another protocol, or nowhere: it is not followed.
    Elsewhere(String),
}

impl Target {
    /// Reads `http://host:port/path` or `unix:PATH:/path`; the error is for a person.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        if let Some(rest) = url.strip_prefix("unix:") {
            let (socket, path) = match rest.find(":/") {
                Some(colon) => (&rest[..colon], &rest[colon + 1..]),
                None => (rest, "/"),
            };
            let path = path_of(path).ok_or(format!("URL {url:?}: the path is not a valid one"))?;
            return if socket.is_empty() {
                Err(format!("URL {url:?}: expected unix:PATH:/path"))
            } else {
                Ok(Self::Unix {
                    socket: socket.into(),
                    authority: rest.to_owned(),
                    path,
                })
            };
        }
        let uri = http_uri(url)?;
        let authority = uri.authority().ok_or(format!("URL {url:?}: no host"))?;
        let host = authority.host();
        // Not `Authority::port`: it is `None` too where the port is out of range.
        let port = match authority.as_str().strip_prefix(host) {
            Some("") => Some(80),
            Some(rest) => rest.strip_prefix(':').and_then(|port| port.parse().ok()),
            None => None, // a user name
        };
        let plain = host.trim_start_matches('[').trim_end_matches(']');
        let port = port.filter(|port| *port != 0 && !plain.is_empty());
        let port = port.ok_or(format!("URL {url:?}: expected http://host:port/path"))?;
        Ok(Self::Tcp {
            connect: (plain.to_owned(), port),
            authority: authority.to_string(),
            path: uri.path_and_query().map_or("/", |p| p.as_str()).to_owned(),
        })
    }

    pub(crate) fn path(&self) -> &str {
        match self {
            Self::Tcp { path, .. } | Self::Unix { path, .. } => path,
        }
    }

    /// The server's name among the kept connections.
    pub(crate) fn key(&self) -> &str {
        match self {
            Self::Tcp { authority, .. } | Self::Unix { authority, .. } => authority,
        }
    }

    /// For the `Host` header.
    pub(crate) fn host(&self) -> &str {
        match self {
            Self::Tcp { authority, .. } => authority,
            Self::Unix { .. } => "localhost",
        }
    }

    fn with_path(&self, new: String) -> Self {
        let mut next = self.clone();
        match &mut next {
            Self::Tcp { path, .. } | Self::Unix { path, .. } => *path = new,
        }
        next
    }
}

/// Resolves a `Location` header against where it came from.
pub(crate) fn follow(from: &Target, location: &str) -> Hop {
    let elsewhere = || Hop::Elsewhere(location.chars().take(200).collect());
    let location = location.split('#').next().unwrap_or(location);
    let absolute = if location.starts_with("//") {
        format!("http:{location}")
    } else {
        location.to_owned()
    };
    if absolute.contains("://") && !absolute.starts_with('/') {
        return match (Target::parse(&absolute), from) {
            (Ok(next), Target::Tcp { connect, .. }) if matches!(&next, Target::Tcp { connect: to, .. } if to.0.eq_ignore_ascii_case(&connect.0)) => {
                Hop::Local(next)
            }
            _ => elsewhere(),
        };
    }
    let current = from.path().split('?').next().unwrap_or("/");
    let path = match location.chars().next() {
        None => current.to_owned(),
        Some('/') => location.to_owned(),
        Some('?') => format!("{current}{location}"),
        Some(_) => {
            let folder = current.rfind('/').map_or("/", |slash| &current[..=slash]);
            format!("{folder}{location}")
        }
    };
    match path_of(&path) {
        Some(path) => Hop::Local(from.with_path(path)),
        None => elsewhere(),
    }
}

/// The path if it is one that can be asked for.
fn path_of(path: &str) -> Option<String> {
    let parsed: hyper::http::uri::PathAndQuery = path.parse().ok()?;
    parsed.as_str().starts_with('/').then(|| parsed.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        Target::parse(url).expect("a good URL")
    }

    #[test]
    fn urls_are_read() {
        for (url, host, port, path) in [
            ("http://localhost:8081/health", "localhost", 8081, "/health"),
            ("http://127.0.0.1", "127.0.0.1", 80, "/"),
            ("http://[::1]:80/a?b=c", "::1", 80, "/a?b=c"),
        ] {
            match target(url) {
                Target::Tcp {
                    connect,
                    path: found,
                    ..
                } => {
                    assert_eq!(
                        (connect.0.as_str(), connect.1, found.as_str()),
                        (host, port, path)
                    );
                }
                other => panic!("{other:?}"),
            }
        }
        for (url, socket, path) in [
            ("unix:/run/a.sock:/health", "/run/a.sock", "/health"),
            ("unix:/run/a.sock", "/run/a.sock", "/"),
            ("unix:a.sock:/?x=1", "a.sock", "/?x=1"),
        ] {
            match target(url) {
                Target::Unix {
                    socket: found,
                    path: found_path,
                    ..
                } => {
                    assert_eq!((found.to_str(), found_path.as_str()), (Some(socket), path));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn senseless_urls_are_refused_with_a_reason() {
        for (url, reason) in [
            ("", "empty"),
            ("/health", "expected http://"),
            ("localhost:80", "expected http://"),
            ("https://localhost/health", "https is not supported yet"),
            ("ftp://localhost/health", "expected http://"),
            ("http://:80/", ""),
            ("http://localhost:0/", "expected http://"),
            ("http://localhost:99999/", "expected http://"),
            ("http://user@localhost/", "expected http://"),
            ("http://local host/", ""),
            ("unix:", "unix:PATH"),
            ("unix::/health", "unix:PATH"),
            ("unix:/a.sock:/he alth", "path"),
        ] {
            let error = Target::parse(url).expect_err(url);
            assert!(error.contains(reason), "{url}: {error}");
        }
    }

    #[test]
    fn redirects_are_followed_on_the_same_host_only() {
        let from = target("http://localhost:80/a/b?c=d");
        for (location, url) in [
            ("/x", "http://localhost:80/x"),
            ("x?y=z", "http://localhost:80/a/x?y=z"),
            ("?q", "http://localhost:80/a/b?q"),
            ("", "http://localhost:80/a/b"),
            (
                "/x?to=http://else/",
                "http://localhost:80/x?to=http://else/",
            ),
            ("/x#part", "http://localhost:80/x"),
            ("http://LOCALHOST:81/x", "http://LOCALHOST:81/x"),
            ("//localhost/x", "http://localhost/x"),
        ] {
            assert_eq!(
                follow(&from, location),
                Hop::Local(target(url)),
                "{location}"
            );
        }
        for location in [
            "http://example.org/x",
            "https://localhost/x",
            "//example.org/",
            "http://",
            "/a b",
        ] {
            assert_eq!(follow(&from, location), Hop::Elsewhere(location.to_owned()));
        }
        let unix = target("unix:/a.sock:/x");
        assert_eq!(
            follow(&unix, "/y"),
            Hop::Local(unix.with_path("/y".to_owned()))
        );
        let absolute = "http://localhost/y".to_owned();
        assert_eq!(follow(&unix, &absolute), Hop::Elsewhere(absolute));
    }
}
