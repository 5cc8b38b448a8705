//! What the contenders take for their Supabase: passes requests to PostgREST as they are, answers those to
//! `recalculate-schedule`, and keeps account. The stack's own gateway would take more time than what is measured.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::wire::{Message, read_message};

const RECALCULATED: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) body: String,
    /// What PostgREST says of its own time, if it is told to.
    pub(crate) server_timing: String,
    pub(crate) took: Duration,
}

pub(crate) struct Gateway {
    port: u16,
    postgrest: u16,
    asked: Mutex<Vec<Asked>>,
    delay_ms: AtomicU64,
}

impl Gateway {
    pub(crate) async fn start(postgrest: u16) -> Result<Arc<Self>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let gateway =
            Arc::new(Self { port, postgrest, asked: Mutex::default(), delay_ms: AtomicU64::new(0) });
        let this = gateway.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A contender that is ended breaks off in the middle.
                let this = this.clone();
                tokio::spawn(async move { this.serve(stream).await });
            }
        });
        Ok(gateway)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Holds every answer back for so long from now on.
    pub(crate) fn delay(&self, delay: Duration) {
        self.delay_ms.store(u64::try_from(delay.as_millis()).unwrap_or(0), Ordering::Relaxed);
    }

    /// What was asked since the last time.
    pub(crate) fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many requests were answered since they were taken.
    pub(crate) fn answered(&self) -> usize {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    async fn serve(&self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut caller = BufReader::new(stream);
        let mut upstream = self.upstream().await?;
        while let Some(request) = read_message(&mut caller).await? {
            let (line, started) = (request.first_line(), Instant::now());
            let answer = if line.contains(" /functions/v1/recalculate-schedule") {
                RECALCULATED.to_vec()
            } else {
                let rewritten = line.replacen(" /rest/v1/", " /", 1) + "\r\n";
                let bytes = [rewritten.as_bytes(), request.after_first_line()].concat();
                // PostgREST closes connections that were idle for half a minute, as a contender's are meanwhile.
                match exchange(&mut upstream, &bytes).await {
                    Ok(answer) => answer,
                    Err(_) => {
                        upstream = self.upstream().await?;
                        exchange(&mut upstream, &bytes).await?
                    }
                }
            };
            let took = started.elapsed();
            let delay = self.delay_ms.load(Ordering::Relaxed);
            if delay > 0 {
                sleep(Duration::from_millis(delay)).await;
            }
            self.note(line, &request, &answer, took);
            caller.get_mut().write_all(&answer).await?;
        }
        Ok(())
    }

    async fn upstream(&self) -> Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(("127.0.0.1", self.postgrest)).await?;
        stream.set_nodelay(true)?;
        Ok(BufReader::new(stream))
    }

    fn note(&self, line: String, request: &Message, answer: &[u8], took: Duration) {
        let answer = String::from_utf8_lossy(answer);
        let server_timing = answer.lines().find_map(|line| line.strip_prefix("Server-Timing: "));
        let server_timing = server_timing.unwrap_or_default().to_owned();
        let asked = Asked { line, body: request.body(), server_timing, took };
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
    }
}

async fn exchange(upstream: &mut BufReader<TcpStream>, request: &[u8]) -> Result<Vec<u8>> {
    upstream.write_all(request).await?;
    Ok(read_message(upstream).await?.context("PostgREST closed the connection")?.bytes)
}
