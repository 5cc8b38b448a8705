//! The operating system.

mod http;
mod processes;
mod replace;

use std::env::{self, VarError};
use std::fs::{self, DirEntry};
use std::io::{self, IsTerminal, Write as _};
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use adapters::http::HttpRequest;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use self::http::Http;
use crate::http::{Reply, Silence};
use crate::{Ended, Kind, Machine, Process, Stream};

pub struct Native {
    http: Http,
}

impl Native {
    #[allow(clippy::new_without_default, reason = "it is the machine that is there, and no value")]
    pub fn new() -> Self {
        Self { http: Http::new() }
    }
}

impl Machine for Native {
    fn typed_path(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn kind(&self, path: &Path) -> Option<Kind> {
        let metadata = fs::metadata(path).ok()?;
        Some(if metadata.is_dir() { Kind::Directory } else { Kind::File })
    }

    fn is_link(&self, path: &Path) -> bool {
        path.is_symlink()
    }

    fn entries(&self, directory: &Path) -> io::Result<Vec<String>> {
        let name = |entry: io::Result<DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        fs::read_dir(directory)?.map(name).collect()
    }

    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        path.canonicalize()
    }

    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        replace::replace(path, content)
    }

    fn create_directories(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_empty_directory(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn in_temporary_directory(&self, work: &mut dyn FnMut(&Path)) -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        work(directory.path());
        Ok(())
    }

    fn variable(&self, name: &str) -> Result<String, VarError> {
        env::var(name)
    }

    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn sleep(&self, duration: Duration) {
        thread::sleep(duration);
    }

    fn uuid(&self) -> Uuid {
        Uuid::new_v4()
    }

    fn write(&self, stream: Stream, text: &str) {
        let _ = match stream {
            Stream::Error => io::stderr().write_all(text.as_bytes()),
            _ => io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()),
        };
    }

    fn read_line(&self) -> io::Result<String> {
        let mut line = String::new();
        io::stdin().read_line(&mut line)?;
        Ok(line)
    }

    fn is_terminal(&self, stream: Stream) -> bool {
        match stream {
            Stream::Input => io::stdin().is_terminal(),
            Stream::Output => io::stdout().is_terminal(),
            Stream::Error => io::stderr().is_terminal(),
        }
    }

    fn columns(&self) -> Option<usize> {
        terminal_size::terminal_size().map(|(width, _)| width.0.into())
    }

    fn run(&self, process: &Process) -> io::Result<Ended> {
        processes::run(process)
    }

    fn send_all(&self, requests: Vec<(HttpRequest, Duration)>) -> Vec<Reply> {
        thread::scope(|scope| {
            let send = |(request, timeout)| scope.spawn(move || self.http.send(request, timeout));
            let sent: Vec<_> = requests.into_iter().map(send).collect();
            sent.into_iter().map(|sent| sent.join().unwrap_or(Err(Silence::Broken))).collect()
        })
    }

    fn resolve(&self, host: &str, within: Duration) -> Vec<IpAddr> {
        // The system's resolver has no time limit of its own.
        let (sender, receiver) = mpsc::channel();
        let host = host.to_owned();
        thread::spawn(move || {
            let resolved = (host.as_str(), 443).to_socket_addrs();
            let addresses: Vec<_> = resolved.into_iter().flatten().map(|address| address.ip()).collect();
            // Nobody listens any more if it took too long.
            let _ = sender.send(addresses);
        });
        receiver.recv_timeout(within).unwrap_or_default()
    }
}
