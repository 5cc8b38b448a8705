//! A proxy in front of the gateway that cuts connections after the request was sent: what was asked is done, and
//! nobody is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};

use crate::dice::Dice;

pub(crate) struct Scissors {
    address: SocketAddr,
    /// Of a hundred answers, so many are lost.
    percent: AtomicU64,
    cuts: AtomicU64,
    dice: Dice,
}

impl Scissors {
    /// Listens at once; what comes in waits for `connect`.
    pub(crate) async fn listen(dice: Dice) -> Result<(Arc<Self>, TcpListener)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        Ok((Arc::new(Self { address, percent: 0.into(), cuts: 0.into(), dice }), listener))
    }

    /// Passes everything on to a gateway.
    pub(crate) fn connect(self: &Arc<Self>, listener: TcpListener, gateway: &str) {
        let gateway = gateway.trim_start_matches("http://").to_owned();
        let scissors = self.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (scissors, gateway) = (scissors.clone(), gateway.clone());
                tokio::spawn(async move { scissors.pass(client, &gateway).await });
            }
        });
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn cut(&self, percent: u64) {
        self.percent.store(percent, Relaxed);
    }

    pub(crate) fn cuts(&self) -> u64 {
        self.cuts.load(Relaxed)
    }

    async fn pass(&self, mut client: TcpStream, gateway: &str) -> Result<()> {
        let mut server = TcpStream::connect(gateway).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let answers = async {
            let mut answer = vec![0; 64 << 10];
            loop {
                let length = from_server.read(&mut answer).await?;
                if length == 0 {
                    return Ok(());
                }
                if self.dice.chance(self.percent.load(Relaxed)) {
                    self.cuts.fetch_add(1, Relaxed);
                    return Ok(());
                }
                to_client.write_all(&answer[..length]).await?;
            }
        };
        tokio::select! {
            done = answers => done,
            done = copy(&mut from_client, &mut to_server) => Ok(done.map(drop)?),
        }
    }
}
