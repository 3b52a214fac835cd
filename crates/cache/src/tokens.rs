//! Tokens that are given out and taken back while the server runs.

use std::sync::Arc;

use larder_base::Timestamp;
use parking_lot::RwLock;

use crate::rights::Grant;

/// A token that was given out, without the token itself.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// What it is called when it is to be taken back.
    pub id: String,
    /// What its holder may do.
    pub grant: Grant,
    /// When it was given out.
    pub created: Timestamp,
    /// The last moment at which it is good; `None` is for ever.
    pub expires: Option<Timestamp>,
}

impl IssuedToken {
    /// Whether it is good at a moment.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|expires| now <= expires)
    }
}

/// The tokens given out at present, shared by who keeps them and who asks for rights. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct IssuedTokens {
    tokens: Arc<RwLock<Arc<[IssuedToken]>>>,
}

impl IssuedTokens {
    /// The tokens as of now.
    pub fn current(&self) -> Arc<[IssuedToken]> {
        self.tokens.read().clone()
    }

    /// Puts other tokens in their place; the next request is judged by them.
    pub fn replace(&self, tokens: Vec<IssuedToken>) {
        *self.tokens.write() = tokens.into();
    }
}
