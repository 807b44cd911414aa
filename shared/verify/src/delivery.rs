//! One POST as it arrived. Nothing in it is trusted yet.

use bytes::Bytes;
use http::HeaderMap;

use crate::Refusal;

/// One POST: the exact bytes of its body, its headers and its path.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The path without the API's stage, for example `/umaaas/test-webhook`.
    pub path: String,
    /// All header lines. A header that was sent twice has two values here.
    pub headers: HeaderMap,
    /// The body, byte for byte as the sender signed it.
    pub body: Bytes,
}

impl Delivery {
    /// A delivery without headers.
    pub fn new(path: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { path: path.into(), headers: HeaderMap::new(), body: body.into() }
    }

    /// The only value of a header that may occur at most once.
    ///
    /// # Errors
    /// [`Refusal::Repeated`] when the header has several lines, because it is unknown which of them was signed.
    pub fn single(&self, name: &'static str) -> Result<Option<&[u8]>, Refusal> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Refusal::Repeated { header: name }),
            (first, None) => Ok(first.map(|value| value.as_bytes())),
        }
    }

    /// Like [`single`](Self::single), for values that never contain a comma, such as hexadecimal digests and
    /// timestamps. API Gateway joins two lines of one header with a comma, so a comma means two lines.
    ///
    /// # Errors
    /// [`Refusal::Repeated`] for several lines, and for several lines joined by a comma.
    pub fn unjoined(&self, name: &'static str) -> Result<Option<&[u8]>, Refusal> {
        match self.single(name)? {
            Some(value) if value.contains(&b',') => Err(Refusal::Repeated { header: name }),
            value => Ok(value),
        }
    }
}
