//! The documents of the answers.

use larder_base::Timestamp;

/// An element with this content, which is escaped already.
pub(super) fn element(name: &str, content: &str) -> String {
    format!("<{name}>{content}</{name}>")
}

/// A whole document.
pub(super) fn document(name: &str, content: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{name} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{content}</{name}>"
    )
}

/// An error.
pub(super) fn error(code: &str, message: &str) -> String {
    let content = element("Code", code) + &element("Message", &escape(message)) + &element("RequestId", "1");
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>{content}</Error>")
}

/// Text as the content of an element.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// What a client wrote as the content of an element.
pub(super) fn plain(text: &str) -> String {
    text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&apos;", "'").replace("&amp;", "&")
}

/// The contents of all elements of a name, in order. Only for documents in which that name does not nest.
pub(super) fn contents<'a>(document: &'a str, name: &str) -> Vec<&'a str> {
    let (start, end) = (format!("<{name}>"), format!("</{name}>"));
    document.split(start.as_str()).skip(1).filter_map(|rest| rest.split(end.as_str()).next()).collect()
}

/// A moment, to the second as stores tell it.
pub(super) fn moment(moment: Timestamp) -> String {
    let seconds = i64::try_from(moment.as_millis() / 1000).unwrap_or_default();
    let moment = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    moment.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}
