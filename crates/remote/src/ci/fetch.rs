//! Runs of records: fetched as streams that mend themselves.

use larder_base::{BlobStream, Result};
use larder_proto::ci::Run;

use super::CiClient;

impl CiClient {
    /// The bytes of a run: exactly `run.length`, or the stream ends in an error. A transfer that breaks off is begun again
    /// and what was delivered before is passed over. `None` when the URL is no longer good: locate the chunks again.
    ///
    /// # Errors
    /// As [`CiClient::lookup`].
    pub async fn fetch_run(&self, run: &Run) -> Result<Option<BlobStream>> {
        let url = self.signed_url(&run.url, &run.headers)?;
        match url.get(&self.http, run.length).await {
            Ok(Some(body)) => Ok(Some(body)),
            Ok(None) => {
                self.note_failed_transfer(&url);
                Ok(None)
            }
            // Located again, the chunks come through the server.
            Err(error) if error.kind().may_pass() && self.note_failed_transfer(&url) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
