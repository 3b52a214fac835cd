//! The command line of tokens.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::config::Span;

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Give out a token. It is shown this once, on standard output.
    Create(NewToken),
    /// List the tokens that were given out; not those of the configuration.
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Take a token back; from then on it is good for nothing.
    Revoke {
        /// The token's id, as `larder token list` shows it.
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        id: String,
        #[command(flatten)]
        place: Place,
    },
}

/// What a token is good for. Its namespace is that of --namespace; one that ends in `*` means all that begin so.
#[derive(Clone, Debug, Args)]
pub struct NewToken {
    /// A scope that it reads: `trusted`, `ref/NAME`, `pr/NUMBER` or `user/ID`. May be given more than once; they are
    /// looked through in this order [default: the one it writes, then trusted].
    #[arg(long, value_name = "SCOPE")]
    pub read: Vec<String>,
    /// The scope that it writes; without one it may only read.
    #[arg(long, value_name = "SCOPE")]
    pub write: Option<String>,
    /// It may see and purge every scope, and look after the tokens of its namespaces.
    #[arg(long)]
    pub admin: bool,
    /// Whose it is: entries keep it as their writer [default: made from its id].
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// After how long it is good no more, such as "90d" [default: never].
    #[arg(long, value_name = "SPAN")]
    pub expires: Option<Span>,
    #[command(flatten)]
    pub place: Place,
}

/// Where the tokens are.
#[derive(Clone, Debug, Args)]
pub struct Place {
    /// Not those of a running server, but those of this data directory, which no server uses: so the first one is made.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}
