//! HTTP/1.1 as bytes on a kept connection: a client that costs next to nothing beside what it measures.

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A request or an answer as it was sent, or none where the connection has ended before it.
pub(crate) async fn read_message(from: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<Message>> {
    let mut message = Message::default();
    let mut length = Some(0);
    loop {
        let start = message.bytes.len();
        if from.read_until(b'\n', &mut message.bytes).await? == 0 {
            ensure!(message.bytes.is_empty(), "the connection ended within a head");
            return Ok(None);
        }
        let line =
            String::from_utf8_lossy(message.bytes.get(start..).unwrap_or_default()).to_ascii_lowercase();
        match line.trim_end().split_once(':') {
            Some(("content-length", value)) => length = Some(value.trim().parse::<usize>()?),
            Some(("transfer-encoding", value)) if value.contains("chunked") => length = None,
            _ if start == 0 => message.first_line = start + line.len(),
            _ if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    message.head = message.bytes.len();
    match length {
        Some(length) => read_exactly(from, length, &mut message.bytes).await?,
        None => loop {
            let start = message.bytes.len();
            from.read_until(b'\n', &mut message.bytes).await?;
            let line = String::from_utf8_lossy(message.bytes.get(start..).unwrap_or_default()).into_owned();
            let size = usize::from_str_radix(line.trim_end(), 16).context("the size of a chunk")?;
            read_exactly(from, size + 2, &mut message.bytes).await?;
            if size == 0 {
                break;
            }
        },
    }
    Ok(Some(message))
}

async fn read_exactly(
    from: &mut (impl AsyncBufRead + Unpin),
    length: usize,
    into: &mut Vec<u8>,
) -> Result<()> {
    let read = from.take(length as u64).read_to_end(into).await?;
    ensure!(read == length, "the connection ended within a body");
    Ok(())
}

#[derive(Default)]
pub(crate) struct Message {
    pub(crate) bytes: Vec<u8>,
    /// Where the first line ends, and where the body begins.
    first_line: usize,
    head: usize,
}

impl Message {
    /// "POST /path HTTP/1.1", or "HTTP/1.1 200 OK".
    pub(crate) fn first_line(&self) -> String {
        String::from_utf8_lossy(self.bytes.get(..self.first_line).unwrap_or_default()).trim_end().to_owned()
    }

    pub(crate) fn after_first_line(&self) -> &[u8] {
        self.bytes.get(self.first_line..).unwrap_or_default()
    }

    /// With the sizes of its chunks, if it has any.
    pub(crate) fn body(&self) -> String {
        String::from_utf8_lossy(self.bytes.get(self.head..).unwrap_or_default()).into_owned()
    }
}

/// A connection to a function.
pub(crate) struct Line(BufReader<TcpStream>);

impl Line {
    pub(crate) async fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// → the answer's status
    pub(crate) async fn post(&mut self, headers: &str) -> Result<u16> {
        let answer = self.ask(headers).await?;
        let status = answer.first_line().split(' ').nth(1).and_then(|status| status.parse().ok());
        status.context("an answer without a status")
    }

    pub(crate) async fn ask(&mut self, headers: &str) -> Result<Message> {
        let request = format!("POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 0\r\n{headers}\r\n");
        self.0.write_all(request.as_bytes()).await?;
        read_message(&mut self.0).await?.context("the function closed the connection")
    }
}
