//! The table itself.

/// A crate of ours, or a family of them, and what it may know.
pub(super) struct Layer {
    /// As in ARCHITECTURE.md.
    pub(super) name: &'static str,
    package: &'static str,
    may_know: May,
    /// Outside crates it may not contain, at any depth.
    pub(super) must_not_contain: &'static [&'static str],
}

enum May {
    These(&'static [&'static str]),
    Everything,
}

impl Layer {
    /// Whether this is the layer of a package.
    pub(super) fn holds(&self, package: &str) -> bool {
        match self.package.strip_suffix('*') {
            Some(family) => package.starts_with(family),
            None => package == self.package,
        }
    }

    /// Whether it may name a crate of another layer.
    pub(super) fn may_know(&self, other: &Self) -> bool {
        match self.may_know {
            May::Everything => !["testkit", "xtask"].contains(&other.name),
            May::These(names) => names.contains(&other.name),
        }
    }

    /// What it may know, for people.
    pub(super) fn words(&self) -> String {
        match self.may_know {
            May::Everything => "everything".to_owned(),
            May::These([]) => "nothing of ours".to_owned(),
            May::These(names) => names.join(", "),
        }
    }
}

pub(super) const LAYERS: &[Layer] = &[
    Layer {
        name: "base",
        package: "larder-base",
        may_know: May::These(&[]),
        must_not_contain: &["tokio", "hyper", "axum", "heed", "rustix", "getrandom"],
    },
    Layer { name: "proto", package: "larder-proto", may_know: May::These(&[]), must_not_contain: &["axum", "heed"] },
    Layer {
        name: "store",
        package: "larder-store",
        may_know: May::These(&["base"]),
        must_not_contain: &["http", "hyper", "axum", "rustls"],
    },
    Layer {
        name: "pool",
        package: "larder-pool",
        may_know: May::These(&["base"]),
        must_not_contain: &["tokio", "http", "hyper", "axum", "heed"],
    },
    Layer {
        name: "remote",
        package: "larder-remote",
        may_know: May::These(&["proto", "base"]),
        must_not_contain: &["axum", "heed"],
    },
    Layer {
        name: "cache",
        package: "larder-cache",
        may_know: May::These(&["base"]),
        must_not_contain: &["http", "hyper", "axum", "tonic", "heed", "rustls"],
    },
    Layer {
        name: "tree",
        package: "larder-tree",
        may_know: May::These(&["base", "proto"]),
        must_not_contain: &["tokio", "hyper", "axum", "heed"],
    },
    Layer {
        name: "door",
        package: "larder-door",
        may_know: May::These(&["cache", "base"]),
        must_not_contain: &["heed", "rustls"],
    },
    Layer {
        name: "doors/*",
        package: "door-*",
        may_know: May::These(&["door", "cache", "base", "tree", "proto"]),
        must_not_contain: &["heed", "rustls"],
    },
    Layer {
        name: "testkit",
        package: "larder-testkit",
        may_know: May::These(&["cache", "store", "tree", "base"]),
        must_not_contain: &[],
    },
    Layer { name: "app", package: "larder", may_know: May::Everything, must_not_contain: &[] },
    Layer { name: "xtask", package: "xtask", may_know: May::These(&[]), must_not_contain: &["tokio", "clap"] },
];

/// An outside crate that only some layers may name in their manifests.
pub(super) struct Owner {
    pub(super) outside: &'static str,
    pub(super) layers: &'static [&'static str],
    pub(super) reason: &'static str,
}

const TERMINAL: &str = "the command line and the terminal are the application's";

pub(super) const OWNERS: &[Owner] = &[
    Owner { outside: "clap", layers: &["app"], reason: TERMINAL },
    Owner { outside: "clap_complete", layers: &["app"], reason: TERMINAL },
    Owner { outside: "clap_mangen", layers: &["app"], reason: TERMINAL },
    Owner { outside: "indicatif", layers: &["app"], reason: TERMINAL },
    Owner { outside: "etcetera", layers: &["app"], reason: "libraries are told their folders" },
    Owner { outside: "tracing-subscriber", layers: &["app"], reason: "the application decides where logs go" },
    Owner { outside: "heed", layers: &["store"], reason: "the index engine is a matter of the store" },
    Owner {
        outside: "rustls",
        layers: &["remote", "app"],
        reason: "TLS of clients is remote's, of listeners the application's",
    },
    Owner { outside: "hyper-rustls", layers: &["remote"], reason: "there is one HTTP client" },
    Owner {
        outside: "hyper",
        layers: &["remote", "app", "testkit"],
        reason: "connections are the client's and the listener's; a door sees requests",
    },
    Owner { outside: "axum", layers: &["door", "doors/*", "app", "testkit"], reason: "routes begin at the doors" },
    Owner { outside: "getrandom", layers: &["remote", "app"], reason: "libraries are handed their randomness" },
];

/// Crates that may not come in at all, by anyone.
pub(super) const FORBIDDEN: &[(&str, &str)] = &[
    ("reqwest", "a second HTTP client"),
    ("ureq", "a second HTTP client"),
    ("isahc", "a second HTTP client"),
    ("curl", "a second HTTP client"),
    ("awc", "a second HTTP client"),
    ("attohttpc", "a second HTTP client"),
    ("openssl", "a second TLS provider"),
    ("openssl-sys", "a second TLS provider"),
    ("native-tls", "a second TLS provider"),
    ("aws-lc-rs", "a second TLS provider"),
    ("aws-lc-sys", "a second TLS provider"),
    ("boring", "a second TLS provider"),
    ("prost-build", "a code generator in the build; generated code is checked in"),
    ("tonic-build", "a code generator in the build; generated code is checked in"),
    ("tonic-prost-build", "a code generator in the build; generated code is checked in"),
    ("bindgen", "a code generator in the build; generated code is checked in"),
];

/// Crates of which there is to be one version.
pub(super) const SINGLE: &[&str] = &["tokio", "hyper", "http", "axum", "rustls", "ring", "prost", "bytes", "zstd-sys"];
