//! Signed permissions: a URL that carries its own right to move certain bytes until a certain moment.

use hmac::{Hmac, KeyInit, Mac};
use larder_base::{Error, ErrorKind, Result, Timestamp};
use sha2::Sha256;

/// Signs and checks permissions with a secret that only servers of one deployment share.
#[derive(Clone)]
pub struct Signer {
    mac: Hmac<Sha256>,
}

impl Signer {
    /// A signer with this secret.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self { mac: Hmac::new_from_slice(secret).expect("HMAC takes a key of any length") }
    }

    /// The signature of a permission, 64 hexadecimal digits. `permission` must name everything that is allowed: method,
    /// object and range.
    pub fn sign(&self, permission: &str, expires: Timestamp) -> String {
        let tag = self.keyed(permission, expires).finalize().into_bytes();
        larder_base::ContentHash::sha256(tag.into()).to_hex()
    }

    /// Checks a signature, in constant time, and that it has not expired.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`], saying which of the two failed.
    pub fn verify(&self, permission: &str, expires: Timestamp, signature: &str, now: Timestamp) -> Result<()> {
        let denied = |message| Error::new(ErrorKind::Denied, "check signature", message);
        let signature: larder_base::ContentHash =
            signature.parse().map_err(|_| denied("the signature is malformed"))?;
        self.keyed(permission, expires)
            .verify_slice(signature.as_bytes())
            .map_err(|_| denied("the signature is not of this request"))?;
        if now > expires {
            return Err(denied("the URL has expired").with_hint("ask for a new one; the upload itself is still open"));
        }
        Ok(())
    }

    fn keyed(&self, permission: &str, expires: Timestamp) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(&expires.as_millis().to_le_bytes());
        mac.update(permission.as_bytes());
        mac
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(..)")
    }
}

#[cfg(test)]
mod tests;
