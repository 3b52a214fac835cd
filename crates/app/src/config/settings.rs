//! The one table of settings: the configuration's keys, their environment variables and their documentation.

/// A key of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The key, with its tables.
    pub key: &'static str,
    /// The default, as it would be written.
    pub default: &'static str,
    /// What it does: sentences.
    pub about: &'static str,
}

impl Setting {
    /// Whether its value is text, whatever it looks like.
    pub fn is_text(&self) -> bool {
        self.default.starts_with('"')
    }

    /// Its environment variable: the key in capitals, dots as underscores, after `LARDER_`.
    pub fn variable(&self) -> String {
        format!("LARDER_{}", self.key.replace('.', "_").to_uppercase())
    }
}

/// Every key that has a name of its own. The keys of a door are `door.<door>.<key>`, in the environment
/// `LARDER_DOOR_<DOOR>_<KEY>`; each door's page lists them.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "listen",
        default: "\"127.0.0.1:7979\"",
        about: "Where to listen: addresses, or sockets as \"unix:/PATH\", with commas. An address that other machines can \
                reach needs credentials.",
    },
    Setting {
        key: "socket_mode",
        default: "\"600\"",
        about: "Who may connect to the sockets: permissions in octal. Whoever may has the rights of everyone there.",
    },
    Setting {
        key: "data",
        default: "\"$XDG_DATA_HOME/larder\"",
        about: "The data directory. One process at a time. The superuser's default is /var/lib/larder.",
    },
    Setting {
        key: "quota",
        default: "\"auto\"",
        about: "How many bytes the data directory may take, such as \"50 GiB\"; at least 16 MiB. \"auto\" is what it takes \
                now and half of what is free, at most 100 GiB.",
    },
    Setting {
        key: "store.retention",
        default: "\"3h\"",
        about: "How long whatever was answered as present, or named by an entry that was served, stays readable.",
    },
    Setting {
        key: "store.durability",
        default: "\"full\"",
        about: "When a write is acknowledged: \"full\", after it is on the disk; \"relaxed\", before.",
    },
    Setting { key: "store.segment_size", default: "\"64 MiB\"", about: "The size at which a segment file is sealed." },
    Setting {
        key: "store.compression_level",
        default: "1",
        about: "The zstd level of what is stored, -7 to 19. Higher is smaller and slower.",
    },
    Setting {
        key: "bucket.url",
        default: "\"\"",
        about: "An object store's bucket, such as \"s3://NAME/PREFIX\"; see [bucket.md](../bucket.md). None when empty.",
    },
    Setting {
        key: "bucket.endpoint",
        default: "\"\"",
        about: "The object store, such as \"https://minio.example:9000\". When empty: Amazon's in the region.",
    },
    Setting {
        key: "bucket.region",
        default: "\"\"",
        about: "The region that requests are signed for. When empty: AWS_REGION, else the profile's.",
    },
    Setting {
        key: "bucket.path_style",
        default: "\"auto\"",
        about: "Whether the bucket's name stands in the path (true) or in the host (false). \"auto\": in the path where an \
                endpoint is set.",
    },
    Setting {
        key: "bucket.quota",
        default: "\"none\"",
        about: "How much of the bucket the server may take, such as \"2 TiB\"; what was used longest ago goes first.",
    },
    Setting {
        key: "bucket.direct",
        default: "true",
        about: "Whether clients get pre-signed URLs and move large bodies to and from the bucket themselves. false where they \
                cannot reach it.",
    },
    Setting {
        key: "bucket.orphan_age",
        default: "\"24h\"",
        about: "How old an object under the prefix must be, that no upload and no segment speaks of, before it is deleted: longer \
                than any upload takes.",
    },
    Setting {
        key: "limits.namespace_quota",
        default: "\"none\"",
        about: "The most bytes, as stored, that the entries of a namespace may take, such as \"50 GB\". Those restored least \
                recently go first. `[namespaces.NAME]` with `quota` and `owner_quota` sets it for one.",
    },
    Setting {
        key: "limits.owner_quota",
        default: "\"none\"",
        about: "The same for the entries of one writer in a namespace; what is beyond it is taken from that writer alone.",
    },
    Setting {
        key: "limits.unused_scopes",
        default: "\"14d\"",
        about: "After how long without a save or a restore in it a pull request's scope is emptied; \"0s\" is never.",
    },
    Setting {
        key: "upstream.url",
        default: "\"\"",
        about: "The Larder above this one, which makes it a node; see [node.md](../node.md). None when empty.",
    },
    Setting { key: "upstream.token", default: "\"\"", about: "The node's own token there. Jobs need none." },
    Setting {
        key: "upstream.namespace",
        default: "\"*\"",
        about: "The namespaces that jobs may use: one, or the beginning of some and *.",
    },
    Setting {
        key: "upstream.scope",
        default: "\"trusted\"",
        about: "The scope that jobs write. It must be the one that the token writes. When empty, they may only read.",
    },
    Setting {
        key: "upstream.read",
        default: "\"\"",
        about: "The scopes that jobs read, in order, with commas. When empty: the one they write, then trusted.",
    },
    Setting {
        key: "upstream.spool_entries",
        default: "100000",
        about: "How many entries may wait to be sent. What is saved beyond that stays on this machine, and is counted.",
    },
    Setting {
        key: "log.level",
        default: "\"info\"",
        about: "What is logged: error, warn, info, debug or trace, or a filter such as \"larder_store=debug,info\".",
    },
    Setting {
        key: "log.format",
        default: "\"text\"",
        about: "The form of log lines: \"text\", or \"json\" for machines.",
    },
];
