//! What is asked of a function, as far as a function looks at it.

/// A request as the runtime received it.
#[allow(async_fn_in_trait)]
pub trait Incoming {
    fn method(&self) -> String;
    fn header(&self, name: &str) -> Option<String>;
    /// The body as text. `None` where it is longer than [`LONGEST_BODY`], not UTF-8, or did not arrive in time.
    async fn body(&self) -> Option<String>;
    /// Reads what is left of the body and throws it away: a server that answers and closes while its client still
    /// sends is not heard.
    async fn discard_body(&self);
}

/// In bytes. Ours are a hundred.
pub const LONGEST_BODY: usize = 16 * 1024;
